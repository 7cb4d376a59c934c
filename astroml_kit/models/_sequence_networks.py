"""Networks for series of unequal length: what follows the end of a series never counts.

Inputs have the shape (n_series, n_steps, 2 + n_features). Column 0 says what a step is: 1 observed,
0 padding, -1 a time to predict; column 1 is the time since the first step in typical intervals.
Padding follows the observed steps, times to predict are the same number in every series and last.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from ._networks import ACTIVATIONS

KERNEL, DILATION, MOST_DILATION = 5, 4, 4**5
N_WAVES = 16  # pairs of sine and cosine that tell a transformer the time
SHORTEST_WAVE = 2.0  # typical intervals
RECURRENT: dict[str, Callable[..., nn.Module]] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RecurrentEncoder(nn.Module):
    """Recurrent layers; the way back starts at the last observed step of each series.

    Padding comes last, so that it cannot reach the states before it: the result is that of packed
    sequences, and two to three times faster.
    """

    def __init__(
        self, n_inputs: int, size: int, *, cell: str, n_layers: int, dropout: float, both: bool
    ) -> None:
        super().__init__()
        self.both, self.width = both, size * (2 if both else 1)
        widths = [n_inputs] + [self.width] * (n_layers - 1)
        make = RECURRENT[cell]
        self.forth = nn.ModuleList(make(n, size, batch_first=True) for n in widths)
        self.back = nn.ModuleList(make(n, size, batch_first=True) for n in widths if both)
        self.dropout = nn.Dropout(dropout)

    def draw(self) -> None:
        """Let an LSTM remember at first (Jozefowicz et al. 2015, PMLR 37:2342)."""
        for layer in self.modules():
            if isinstance(layer, nn.LSTM):
                bias, size = dict(layer.named_parameters())["bias_ih_l0"], layer.hidden_size
                nn.init.ones_(bias.data[size : 2 * size])

    def forward(
        self, features: torch.Tensor, seen: torch.Tensor, elapsed: torch.Tensor
    ) -> torch.Tensor:
        """Return one state per step."""
        step = torch.arange(seen.shape[1], device=seen.device)
        length = seen.sum(dim=1, keepdim=True)
        mirror = torch.where(step < length, length - 1 - step, step)[..., None]
        states = features
        for k, layer in enumerate(self.forth):
            if k:
                states = self.dropout(states)
            ahead, _ = layer(states)
            if self.both:
                flipped = states.gather(1, mirror.expand_as(states))
                behind, _ = self.back[k](flipped)
                ahead = torch.cat([ahead, behind.gather(1, mirror.expand_as(behind))], dim=2)
            states = ahead
        return states


class ConvEncoder(nn.Module):
    """Residual convolutions with growing gaps (Bai et al. 2018, arXiv:1803.01271)."""

    def __init__(
        self,
        n_inputs: int,
        size: int,
        *,
        n_layers: int,
        dropout: float,
        both: bool,
        activation: str,
    ) -> None:
        super().__init__()
        self.width = size
        self.lift = nn.Linear(n_inputs, size)
        self.blocks = nn.ModuleList(
            ConvBlock(
                size,
                dilation=min(DILATION**k, MOST_DILATION),
                dropout=dropout,
                both=both,
                activation=activation,
            )
            for k in range(n_layers)
        )
        self.norm = nn.LayerNorm(size)

    def forward(
        self, features: torch.Tensor, seen: torch.Tensor, elapsed: torch.Tensor
    ) -> torch.Tensor:
        """Return one state per step."""
        states = self.lift(features)
        for block in self.blocks:
            states = block(states, seen)
        return self.norm(states)


class ConvBlock(nn.Module):
    """One convolution along the steps and one across the features."""

    def __init__(
        self, size: int, *, dilation: int, dropout: float, both: bool, activation: str
    ) -> None:
        super().__init__()
        reach = (KERNEL - 1) * dilation
        self.padding = (reach // 2, reach // 2) if both else (reach, 0)
        self.norm = nn.LayerNorm(size)
        self.conv = nn.Conv1d(size, size, KERNEL, dilation=dilation)
        self.act = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(size, size)

    def forward(self, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Add to the states what their neighbours say; padding says nothing."""
        inner = self.norm(states) * seen[..., None]
        inner = self.conv(functional.pad(inner.transpose(1, 2), self.padding)).transpose(1, 2)
        return states + self.mix(self.dropout(self.act(inner)))


class TransformerEncoder(nn.Module):
    """Attention among the steps, which know their times as waves (Vaswani et al. 2017).

    arXiv:1706.03762; norms come first, as in Xiong et al. 2020, arXiv:2002.04745.
    """

    frequency: torch.Tensor

    def __init__(
        self,
        n_inputs: int,
        size: int,
        *,
        n_layers: int,
        dropout: float,
        both: bool,
        activation: str,
        span: float,
    ) -> None:
        super().__init__()
        self.both, self.width = both, size
        longest = max(2 * span, 2 * SHORTEST_WAVE)
        periods = SHORTEST_WAVE * (longest / SHORTEST_WAVE) ** torch.linspace(0, 1, N_WAVES)
        self.register_buffer("frequency", 2 * math.pi / periods)
        self.lift = nn.Linear(n_inputs + 2 * N_WAVES, size)
        self.blocks = nn.ModuleList(
            AttentionBlock(size, dropout=dropout, activation=activation) for _ in range(n_layers)
        )
        self.norm = nn.LayerNorm(size)

    def forward(
        self,
        features: torch.Tensor,
        seen: torch.Tensor,
        elapsed: torch.Tensor,
        kept: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return one state per step; the weights of each block are put into ``kept``."""
        phase = elapsed[..., None] * self.frequency
        states = self.lift(torch.cat([features, phase.sin(), phase.cos()], dim=2))
        allowed = seen[:, None, None, :]
        if not self.both:
            n = seen.shape[1]
            before = torch.ones(n, n, dtype=torch.bool, device=seen.device).tril()
            # a step sees itself, so that padding too has something to attend to
            allowed = allowed & before
        for block in self.blocks:
            states = block(states, allowed, kept)
        return self.norm(states)


class AttentionBlock(nn.Module):
    """Attention between steps, then a dense layer on each."""

    def __init__(self, size: int, *, dropout: float, activation: str) -> None:
        super().__init__()
        self.n_heads = next(n for n in (8, 4, 2, 1) if size % n == 0 and (size >= 8 * n or n == 1))
        self.norm_first, self.norm_second = nn.LayerNorm(size), nn.LayerNorm(size)
        self.ask = nn.Linear(size, 3 * size)
        self.join = nn.Linear(size, size)
        self.dense = nn.Sequential(
            nn.Linear(size, 2 * size),
            ACTIVATIONS[activation](),
            nn.Dropout(dropout),
            nn.Linear(2 * size, size),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: torch.Tensor, allowed: torch.Tensor, kept: list[torch.Tensor] | None
    ) -> torch.Tensor:
        """Add what each step learns from the others."""
        n_series, n_steps, size = states.shape
        asked = self.ask(self.norm_first(states)).view(n_series, n_steps, 3, self.n_heads, -1)
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        if kept is not None:
            likeness = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
            kept.append(likeness.masked_fill(~allowed, -math.inf).softmax(dim=3).mean(dim=1))
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        mixed = self.join(mixed.transpose(1, 2).reshape(n_series, n_steps, size))
        states = states + self.dropout(mixed)
        return states + self.dropout(self.dense(self.norm_second(states)))


class Pooling(nn.Module):
    """One state per series: a weighted mean whose weights are learned, the mean, or the last."""

    def __init__(self, width: int, *, kind: str, both_recurrent: bool) -> None:
        super().__init__()
        self.kind, self.both_recurrent = kind, both_recurrent
        if kind == "attention":
            # no bias behind it: it would cancel
            self.score = nn.Sequential(
                nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False)
            )

    def weigh(self, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Return the share of each step, shape (n_series, n_steps), rows adding up to one."""
        if self.kind == "attention":
            return self.score(states)[..., 0].masked_fill(~seen, -math.inf).softmax(dim=1)
        length = seen.sum(dim=1, keepdim=True)
        if self.kind == "mean":
            return seen / length
        step = torch.arange(seen.shape[1], device=seen.device)
        return (step == length - 1).to(states.dtype)

    def forward(self, states: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        """Return one state per series."""
        if self.kind != "last":
            return (self.weigh(states, seen)[:, None] @ states)[:, 0]
        row = torch.arange(len(states), device=states.device)
        last = states[row, seen.sum(dim=1) - 1]
        if not self.both_recurrent:
            return last
        half = states.shape[2] // 2  # the way back ends at the first step
        return torch.cat([last[:, :half], states[:, 0, half:]], dim=1)


class SequenceNetwork(nn.Module):
    """An encoder of steps, a pooling, and a head on the state of the whole series."""

    def __init__(self, encoder: nn.Module, pooling: Pooling, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.pooling, self.head = encoder, pooling, head

    def draw(self) -> None:
        """Draw what the common start values leave out."""
        if isinstance(self.encoder, RecurrentEncoder):
            self.encoder.draw()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the head makes of each series and of the times to predict."""
        kind = inputs[0, :, 0]
        ahead = int((kind < 0).sum())
        asked = inputs[:, inputs.shape[1] - ahead :, 2:]
        seen, states = self._encode(inputs, None)
        return self.head(self.pooling(states, seen), asked)

    def _encode(
        self, inputs: torch.Tensor, kept: list[torch.Tensor] | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        observed = inputs[..., 0] > 0
        n_steps = int(observed.sum(dim=1).max())
        inputs, seen = inputs[:, :n_steps], observed[:, :n_steps]
        extra = () if kept is None else (kept,)
        return seen, self.encoder(inputs[..., 2:], seen, inputs[..., 1], *extra)

    def attend(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return how much each step counts, shape (n_series, n_steps).

        The weights of the pooling; through the layers of a transformer by their product, each half
        way to the identity for what goes past it (Abnar & Zuidema 2020, arXiv:2005.00928).
        """
        kept: list[torch.Tensor] = []
        is_transformer = isinstance(self.encoder, TransformerEncoder)
        seen, states = self._encode(inputs, kept if is_transformer else None)
        weights = self.pooling.weigh(states, seen)
        for mixed in reversed(kept):
            weights = 0.5 * weights + 0.5 * (weights[:, None] @ mixed)[:, 0]
        n_steps = int((inputs[0, :, 0] >= 0).sum())
        return functional.pad(weights, (0, n_steps - weights.shape[1]))


class AttentionView(nn.Module):
    """A network seen from where it looks."""

    def __init__(self, network: SequenceNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the weight of each step."""
        return self.network.attend(inputs)


class ClassHead(nn.Module):
    """One score per output."""

    def __init__(self, width: int, n_outputs: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout, self.linear = nn.Dropout(dropout), nn.Linear(width, n_outputs)

    def forward(self, state: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Return the scores."""
        return self.linear(self.dropout(state))


class ForecastHead(nn.Module):
    """The distribution at each time to predict, from the state of the series and that time.

    Quantiles are the middle one and distances > 0 from it, so that they never cross. Outputs are
    blocks of one column per time: the middle quantile or location first.
    """

    def __init__(
        self,
        width: int,
        n_asked: int,
        *,
        hidden: int,
        n_blocks: int,
        n_below: int | None,
        activation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.n_below = n_below
        self.norm = nn.LayerNorm(width)
        self.dense = nn.Sequential(
            nn.Linear(width + n_asked, hidden),
            ACTIVATIONS[activation](),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            ACTIVATIONS[activation](),
            nn.Linear(hidden, n_blocks),
        )

    def forward(self, state: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
        """Return the blocks, side by side."""
        each = self.norm(state)[:, None].expand(-1, asked.shape[1], -1)
        blocks = self.dense(torch.cat([each, asked], dim=2)).transpose(1, 2)
        if self.n_below is not None:
            middle, gaps = blocks[:, :1], functional.softplus(blocks[:, 1:])
            below, above = gaps[:, : self.n_below], gaps[:, self.n_below :]
            blocks = torch.cat(
                [middle, middle - below.cumsum(dim=1), middle + above.cumsum(dim=1)], dim=1
            )
        return blocks.flatten(1)
