"""Many directional derivatives of a gradient at once, exact for any loss.

Why not `torch.func` alone (`vmap` of `jvp` of `grad`, some twenty lines)? It was measured in this
package's place, as "jvp and vmap" of `benchmarks/engines.py`. On LeNet (batch 128, one thread) it
is exact, but a step takes it 1.5 times as long, with 9 tangents and with 52: at seven learning
rates it is 1.75 times as fast as the original implementation of FDS, where this project promises 2,
and it takes 13 times the original's memory, where 1.5 is promised (docs/benchmarks.md).
One more backward pass for each tangent, "double backward", takes more than twice as long as this
package there; it stays beside it, for networks where it is the faster (`OneByOne`). Both hold fixed
what a loss detaches; here it moves, as in finite differences.

`products` has the two ways and a probe that picks one; `tape` records a gradient's operators,
`tangent_storage` keeps what moves, and the files of `rules` have the operators' derivatives.
"""
