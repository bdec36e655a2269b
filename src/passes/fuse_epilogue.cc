// activation(conv(x) + bias + y) -> conv with an epilogue; matmul and channel_affine likewise.
#include "ops/fused.h"
#include "passes/activation_node.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

using ops::Activation;
using ops::Epilogue;
using ops::Residual;

bool takes_residual(const ir::Node& node) {
  return node.is("fused_conv2d") || node.is("fused_depthwise_conv2d") || node.is("fused_conv3d") ||
         node.is("fused_conv2d_transpose") || node.is("fused_matmul");
}

bool takes_activation(const ir::Node& node) { return takes_residual(node) || node.is("channel_affine"); }

class Fuser {
 public:
  explicit Fuser(ir::Graph& graph) : editor_(graph), order_(editor_.order()) {
    for (std::size_t i = 0; i < order_.size(); ++i) place_[order_[i]] = i;
  }

  bool run() {
    for (ir::Node* node : order_) {
      if (editor_.released(node) || node->outputs.size() != 1 || node->outputs[0].dtype != DataType::kFloat32) continue;
      if (node->is("add")) {
        fuse_residual(node);
      } else {
        fuse_activation(node);
      }
    }
    return editor_.finish();
  }

 private:
  // The producer whose only user is `node`, when its epilogue may grow.
  ir::Node* producer(ir::Value value, const ir::Node* node) const {
    ir::Node* from = value.node;
    if (!takes_activation(*from) || value.index != 0 || editor_.sole_user(value) != node || !editor_.absorbable(from)) return nullptr;
    return from;
  }

  void fuse_activation(ir::Node* node) {
    const Epilogue wanted = activation_of(*node);
    if (wanted.activation == Activation::kNone) return;
    ir::Node* from = producer(node->inputs[0], node);
    if (from == nullptr) return;
    Epilogue epilogue = Epilogue::parse(from->attrs);
    if (epilogue.activation != Activation::kNone || epilogue.residual == Residual::kAfter) return;
    epilogue.activation = wanted.activation;
    epilogue.alpha = wanted.alpha;
    epilogue.beta = wanted.beta;
    adopt(node, from, epilogue, {});
  }

  void fuse_residual(ir::Node* sum) {
    const ir::Value a = sum->inputs[0], b = sum->inputs[1];
    if (a == b || !is_float(a) || !is_float(b) || !same_shape(shape_of(a), shape_of(b))) return;
    if (constant_of(a) != nullptr || constant_of(b) != nullptr) return;
    ir::Node* first = residual_taker(a, sum);
    ir::Node* second = residual_taker(b, sum);
    // The later of two takes it: the earlier one's result is there by then.
    const bool use_second = first == nullptr || (second != nullptr && place_.at(second) > place_.at(first));
    ir::Node* from = use_second ? second : first;
    if (from == nullptr) return;
    Epilogue epilogue = Epilogue::parse(from->attrs);
    epilogue.residual = epilogue.activation == Activation::kNone ? Residual::kBefore : Residual::kAfter;
    adopt(sum, from, epilogue, use_second ? a : b);
  }

  ir::Node* residual_taker(ir::Value value, const ir::Node* sum) const {
    ir::Node* from = producer(value, sum);
    if (from == nullptr || !takes_residual(*from)) return nullptr;
    return Epilogue::parse(from->attrs).residual == Residual::kNone ? from : nullptr;
  }

  // `last` becomes `from` with a longer epilogue.
  void adopt(ir::Node* last, ir::Node* from, const Epilogue& epilogue, ir::Value residual) {
    std::vector<ir::Value> inputs = from->inputs;
    if (residual) inputs.push_back(residual);
    ir::Attrs attrs = from->attrs;
    epilogue.store(attrs);
    ir::Node* absorbed[] = {from};
    editor_.become(last, from->op->name, std::move(inputs), std::move(attrs), absorbed);
  }

  Editor editor_;
  std::vector<ir::Node*> order_;
  std::unordered_map<const ir::Node*, std::size_t> place_;
};

}  // namespace

bool fuse_epilogue(ir::Graph& graph) { return Fuser(graph).run(); }

}  // namespace tenon::passes
