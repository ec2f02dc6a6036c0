"""Many directional derivatives of a gradient at once, exact for any loss.

Why not `torch.func` alone (`vmap` of `jvp` of `grad`, some twenty lines)? It was measured in this
package's place: "jvp and vmap" of `python benchmarks/engines.py` (docs/benchmarks.md), LeNet, batch
128, one thread. It is exact, but a step takes it 1.5 times as long, with 9 tangents and with 52. At
seven learning rates it was 1.7 times as fast as the original implementation of FDS (this package in
the same run 2.3 times), where the project promises 2, and took about ten times the original's
memory, where 1.5 is promised. Within that memory, two tangents at once, a step takes twice as long
as here and is hardly faster than one more backward pass for each tangent (`OneByOne`), which stays
for networks where it is the faster.
Both hold fixed what a loss detaches; here it moves, as in finite differences.

`products` has the two ways and a probe that picks one; `tape` records a gradient's operators,
`tangent_storage` keeps what moves, and the files of `rules` have the operators' derivatives.
"""
