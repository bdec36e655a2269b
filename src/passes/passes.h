// The passes over a graph. Each returns whether it changed anything, keeps the graph valid and its outputs equal up to float32
// rounding, and touches no dtype but float32 unless it says so. Types of values are kept up to date. Graphs with TF1 control flow
// (switch, merge, enter, exit) must not be given to them.
#pragma once

#include <functional>

#include "ir/graph.h"
#include "tensor/partial_shape.h"

namespace tenon::passes {

struct FoldOptions {
  // A value that is constant although no const node says so (a frozen variable's); invalid tensor: none. May be empty.
  std::function<Tensor(ir::Value)> constant;
  // Results of folding stay below this many bytes, or below four times their operands when that is more.
  std::int64_t max_bytes = 1 << 22;
};

// mul(x[f16], y[f16]) -> cast(mul(cast(x), cast(y))) in float32, and bfloat16 likewise. Between such nodes nothing is rounded, but for
// operands of comparisons and of ops that give positions. What only moves elements stays narrow between narrow values.
bool widen_half(ir::Graph& graph);
// read_variable(frozen) -> const; add(const, const) -> const; shape(x[2,3]) -> const. Any dtype. Infers all types.
bool fold_constants(ir::Graph& graph, const FoldOptions& options, SymbolSource& symbols);
// identity(x) -> x; control edges that order nothing vanish; nodes that nobody needs vanish. Any dtype.
bool remove_identities(ir::Graph& graph);
// Two pure nodes of the same op, attributes and operands -> one. Any dtype.
bool merge_duplicates(ir::Graph& graph);
// squeeze, expand_dims, transpose of size-1 dims -> reshape; reshape(reshape(x)) -> reshape(x); reshape or transpose that does
// nothing -> x; transpose(transpose(x)) -> transpose(x); targets of reshape become constant; pow(x, 2) -> square(x); x / 4 ->
// x * 0.25; x * 1 -> x. Any dtype, arithmetic float32 only.
bool simplify(ir::Graph& graph);
// add(x[s0,4], y[s1,4]) -> s1 becomes s0, where both are unknown sizes of parameters: what broadcasting of a single row would also
// permit is given up. Parameters' types then share symbols, and whoever runs the graph must check that these sizes are equal.
bool unify_sizes(ir::Graph& graph);
// NCHW convolutions, pools, bias adds, batch norms -> NHWC between transposes; transposes then move through element-wise ops,
// concatenation, reductions and pads to where they cancel.
bool use_nhwc(ir::Graph& graph);
// einsum of two operands -> matmul between transposes and reshapes.
bool lower_einsum(ir::Graph& graph, SymbolSource& symbols);
// conv2d, depthwise_conv2d, conv3d, conv2d_backprop_input, matmul in float32 -> fused_*; one group per channel -> depthwise.
bool lower_to_fused(ir::Graph& graph);
// space_to_batch -> convolution -> batch_to_space: a dilated convolution.
bool fuse_dilation(ir::Graph& graph);
// reshape(matmul(reshape(x), w)) -> fused_matmul(x, w) when the reshapes only merge and restore the leading dims;
// add(reshape(matmul(x, w)), c[H,D]) -> reshape(add(matmul(x, w), c[H*D])), relu(reshape(conv)) -> reshape(relu(conv)): to where
// they can be folded.
bool flatten_matmul(ir::Graph& graph);
// x * sigmoid(x) -> swish(x); 0.5 x (1 + erf(x / sqrt 2)) -> gelu(x); x relu6(x + 3) / 6 -> hard_swish(x); … in their spellings.
bool fuse_activations(ir::Graph& graph);
// (x - mean) * rsqrt(variance + epsilon) * gamma + beta in its spellings -> layer_norm.
bool fuse_layer_norm(ir::Graph& graph);
// add(x, y) -> layer_norm: the sum moves into layer_norm. After fuse_epilogue.
bool fuse_layer_norm_residual(ir::Graph& graph);
// Multiplications and additions of constants by channel (batch norms, biases) go into the weights and bias of the convolution or
// matmul before them; else two or more of them -> channel_affine.
bool fold_batch_norm(ir::Graph& graph);
// Zero padding before a convolution becomes its explicit padding; of max_pool too where the padding is -inf.
bool fold_padding(ir::Graph& graph);
// softmax(scale q k^T + mask) v -> attention, with the transposes of heads around it.
bool fuse_attention(ir::Graph& graph);
// activation(conv(x) + bias + y) -> conv with an epilogue; matmul and channel_affine likewise.
bool fuse_epilogue(ir::Graph& graph);
// depthwise_conv2d(conv2d(x)) -> fused_conv2d_depthwise, where the first is 1x1 or cheap, with a 1x1 convolution after it unless
// that begins another such pair. After all that changes epilogues and pads.
bool fuse_depthwise(ir::Graph& graph);
// Trees of element-wise float32 ops -> elementwise, one pass over memory.
bool fuse_elementwise(ir::Graph& graph);

}  // namespace tenon::passes
