// Trees of element-wise float32 ops -> elementwise, one pass over memory.
#include <algorithm>

#include "ops/elementwise_program.h"
#include "passes/activation_node.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

constexpr std::size_t kMaxOperands = 8;
constexpr std::size_t kMaxNodes = 48;

// The instruction a node is, registers not yet filled in.
std::optional<ops::ElementwiseInstruction> instruction_of(const ir::Node& node) {
  if (node.outputs.size() != 1 || !std::all_of(node.inputs.begin(), node.inputs.end(), is_float)) return std::nullopt;
  if (node.outputs[0].dtype != DataType::kFloat32 || !node.outputs[0].shape.known_rank()) return std::nullopt;
  ops::ElementwiseInstruction result;
  if (const ops::Epilogue activation = activation_of(node); activation.activation != ops::Activation::kNone) {
    result.op = ops::ElementwiseOp::kActivation;
    result.activation = activation.activation;
    result.alpha = activation.alpha;
    result.beta = activation.beta;
    return result;
  }
  const bool bias = node.is("bias_add") && !node.attr_or<std::string>("data_format", "NHWC").starts_with("NC");
  if (!ops::elementwise_op_from_name(bias ? "add" : node.op->name, result.op)) return std::nullopt;
  if (node.inputs.size() != static_cast<std::size_t>(ops::elementwise_arity(result.op))) return std::nullopt;
  return result;
}

// A root and the nodes that compute its operands for it alone.
class Group {
 public:
  Group(const Editor& editor, ir::Node* root) : editor_(editor), root_(root) { add(root); }

  // Takes in producers, latest first, while the operands stay few.
  void grow(const std::unordered_map<const ir::Node*, std::size_t>& place) {
    for (;;) {
      ir::Node* best = nullptr;
      for (const ir::Value& operand : operands()) {
        if (fits(operand) && (best == nullptr || place.at(operand.node) > place.at(best))) best = operand.node;
      }
      if (best == nullptr || nodes_.size() == kMaxNodes) return;
      add(best);
      if (operands().size() > kMaxOperands) {
        remove(best);
        return;
      }
    }
  }

  const std::vector<ir::Node*>& nodes() const { return nodes_; }

  // Values from outside, scalar constants left out, in order of use.
  std::vector<ir::Value> operands() const {
    std::vector<ir::Value> result;
    for (const ir::Node* node : nodes_) {
      for (const ir::Value& input : node->inputs) {
        if (members_.contains(input.node) || scalar_of(input)) continue;
        if (std::find(result.begin(), result.end(), input) == result.end()) result.push_back(input);
      }
    }
    return result;
  }

 private:
  void add(ir::Node* node) {
    nodes_.push_back(node);
    members_.insert(node);
  }
  void remove(ir::Node* node) {
    std::erase(nodes_, node);
    members_.erase(node);
  }
  bool fits(ir::Value value) const {
    if (!editor_.absorbable(value.node) || !same_shape(shape_of(value), root_->outputs[0].shape) || !instruction_of(*value.node)) return false;
    const auto& uses = editor_.uses(value);
    return std::all_of(uses.begin(), uses.end(), [&](const Editor::Use& u) { return u.consumer != nullptr && members_.contains(u.consumer); });
  }

  const Editor& editor_;
  ir::Node* root_;
  std::vector<ir::Node*> nodes_;  // users before producers
  std::unordered_set<const ir::Node*> members_;
};

// The shape all operands broadcast to is the root's: an operand has it, or sizes of the others make it up.
bool operands_span(const std::vector<ir::Value>& operands, const PartialShape& shape) {
  std::vector<bool> covered(shape.dims().size(), false);
  for (const ir::Value& operand : operands) {
    const PartialShape& own = shape_of(operand);
    if (!own.known_rank() || own.rank() > shape.rank()) return false;
    for (int d = 0; d < own.rank(); ++d) {
      const int at = shape.rank() - own.rank() + d;
      if (own[d] == shape[at]) covered[static_cast<std::size_t>(at)] = true;
    }
  }
  for (int d = 0; d < shape.rank(); ++d) {
    if (!covered[static_cast<std::size_t>(d)] && shape[d] != Dim(1)) return false;
  }
  return std::any_of(operands.begin(), operands.end(), [&](ir::Value v) { return shape_of(v).rank() == shape.rank(); });
}

void make(Editor& editor, const Group& group, const std::unordered_map<const ir::Node*, std::size_t>& place) {
  const std::vector<ir::Value> operands = group.operands();
  std::vector<ir::Node*> nodes = group.nodes();
  ir::Node* root = nodes.front();
  if (operands.empty() || !operands_span(operands, root->outputs[0].shape)) return;
  std::sort(nodes.begin(), nodes.end(), [&](const ir::Node* a, const ir::Node* b) { return place.at(a) < place.at(b); });
  ops::ElementwiseProgram program;
  std::unordered_map<ir::Value, int, ir::ValueHash> registers;
  for (const ir::Value& operand : operands) registers.emplace(operand, program.num_operands++);
  program.num_registers = program.num_operands;
  const auto emit = [&](ops::ElementwiseInstruction instruction, ir::Value value) {
    instruction.dst = program.num_registers++;
    registers[value] = instruction.dst;
    program.instructions.push_back(instruction);
  };
  for (ir::Node* node : nodes) {
    ops::ElementwiseInstruction instruction = *instruction_of(*node);
    for (std::size_t i = 0; i < node->inputs.size(); ++i) {
      const ir::Value input = node->inputs[i];
      if (!registers.contains(input)) {
        ops::ElementwiseInstruction number;
        number.alpha = scalar_of(input).value();
        emit(number, input);
      }
      instruction.src[i] = registers.at(input);
    }
    emit(instruction, node->output());
  }
  program.results = {registers.at(root->output())};
  ir::Attrs attrs;
  program.store(attrs);
  editor.become(root, "elementwise", operands, std::move(attrs), nodes);
}

}  // namespace

bool fuse_elementwise(ir::Graph& graph) {
  Editor editor(graph);
  std::vector<ir::Node*> order = editor.order();
  std::unordered_map<const ir::Node*, std::size_t> place;
  for (std::size_t i = 0; i < order.size(); ++i) place.emplace(order[i], i);
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    if (editor.released(*it) || (*it)->op->traits != ir::kPure || !instruction_of(**it)) continue;
    Group group(editor, *it);
    group.grow(place);
    if (group.nodes().size() > 1) make(editor, group, place);
  }
  return editor.finish();
}

}  // namespace tenon::passes
