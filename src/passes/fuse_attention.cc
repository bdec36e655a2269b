// softmax(scale q k^T + mask) v -> attention, with the transposes that split and join heads around it.
#include "ops/fused.h"
#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

bool is_plain_matmul(const ir::Node& node) {
  if (!node.is("fused_matmul")) return false;
  const auto attrs = ops::MatMulAttrs::parse(node.attrs);
  return attrs.epilogue.num_operands() == 0 && attrs.epilogue.activation == ops::Activation::kNone && !attrs.transpose_a;
}

bool has_rank(ir::Value value, int rank) { return shape_of(value).known_rank() && shape_of(value).rank() == rank; }

bool has_perm(const ir::Node& node, std::initializer_list<std::int64_t> wanted) {
  if (!node.is("transpose")) return false;
  const auto perm = integers_of(node.inputs[1]);
  return perm && *perm == std::vector<std::int64_t>(wanted);
}

class Matcher {
 public:
  Matcher(Editor& editor, ir::Node* softmax) : editor_(editor), softmax_(softmax) {}

  bool fuse() {
    if (!match_value_product() || !match_scores() || !match_keys()) return false;
    match_layout();
    match_join();
    std::vector<ir::Value> inputs{q_, k_, v_};
    if (mask_) inputs.push_back(mask_);
    ir::Attrs stored;
    attrs_.has_mask = static_cast<bool>(mask_);
    attrs_.store(stored);
    editor_.become(last_, "attention", std::move(inputs), std::move(stored), nodes_);
    return true;
  }

 private:
  // The node that computes `value` for one user alone.
  ir::Node* inner(ir::Value value, const ir::Node* user) const {
    ir::Node* node = value.node;
    return editor_.sole_user(value) == user && editor_.absorbable(node) ? node : nullptr;
  }

  bool match_value_product() {
    if (!is_float(softmax_->output()) || !has_rank(softmax_->output(), 4) || !editor_.absorbable(softmax_)) return false;
    last_ = editor_.sole_user(softmax_->output());
    if (last_ == nullptr || !is_plain_matmul(*last_) || last_->inputs[0] != softmax_->output()) return false;
    if (ops::MatMulAttrs::parse(last_->attrs).transpose_b) return false;
    v_ = last_->inputs[1];
    nodes_ = {softmax_};
    return has_rank(v_, 4);
  }

  // From the softmax down to the product of q and k: additions of masks, multiplications by numbers.
  bool match_scores() {
    ir::Value value = softmax_->inputs[0];
    const ir::Node* user = softmax_;
    for (;;) {
      ir::Node* node = inner(value, user);
      if (node == nullptr || !same_shape(shape_of(value), shape_of(softmax_->inputs[0]))) return false;
      nodes_.push_back(node);
      if (is_plain_matmul(*node)) {
        product_ = node;
        return true;
      }
      if (node->is("add") && !mask_ && attrs_.scale == 1.0f) {
        const auto operands = either(*node, [&](ir::Value v) { return leads_to_product(v, node); });
        if (!operands || !mask_fits(operands->second)) return false;
        mask_ = operands->second;
        value = operands->first;
      } else if ((node->is("mul") || node->is("div")) && scalar_of(node->inputs[1])) {
        const float number = *scalar_of(node->inputs[1]);
        attrs_.scale *= node->is("mul") ? number : 1.0f / number;
        value = node->inputs[0];
      } else {
        return false;
      }
      user = node;
    }
  }

  bool leads_to_product(ir::Value value, const ir::Node* user) const {
    for (int depth = 0; depth < 3; ++depth) {
      const ir::Node* node = inner(value, user);
      if (node == nullptr) return false;
      if (is_plain_matmul(*node)) return true;
      if (!(node->is("mul") || node->is("div")) || !scalar_of(node->inputs[1])) return false;
      user = node;
      value = node->inputs[0];
    }
    return false;
  }

  bool mask_fits(ir::Value mask) const { return is_float(mask) && shape_of(mask).known_rank() && shape_of(mask).rank() <= 4; }

  // q [B,H,S,D] and k [B,H,T,D], the product transposing k or k coming in transposed.
  bool match_keys() {
    q_ = product_->inputs[0];
    k_ = product_->inputs[1];
    if (!has_rank(q_, 4) || !has_rank(k_, 4)) return false;
    const PartialShape &q = shape_of(q_), &v = shape_of(v_);
    if (q[0] != v[0] || q[1] != v[1]) return false;  // products broadcast batches and heads, attention does not
    transposed_keys_ = !ops::MatMulAttrs::parse(product_->attrs).transpose_b;
    if (transposed_keys_ && !has_perm(*k_.node, {0, 2, 3, 1}) && !has_perm(*k_.node, {0, 1, 3, 2})) return false;
    const PartialShape& k = shape_of(k_);
    if (k[0] != q[0] || k[1] != q[1]) return false;
    unscale(q_);
    if (!transposed_keys_) unscale(k_);
    if (transposed_keys_ && has_perm(*k_.node, {0, 1, 3, 2})) {
      note(k_.node);
      k_ = k_.node->inputs[0];
      transposed_keys_ = false;
    }
    return true;
  }

  // q * number -> q, the number joins the scale.
  void unscale(ir::Value& value) {
    ir::Node* node = value.node;
    if (!node->is("mul") || editor_.sole_user(value) == nullptr || !scalar_of(node->inputs[1])) return;
    if (!same_shape(shape_of(node->inputs[0]), shape_of(value))) return;
    attrs_.scale *= *scalar_of(node->inputs[1]);
    note(node);
    value = node->inputs[0];
  }

  void note(ir::Node* node) {
    if (editor_.sole_user(node->output()) != nullptr) nodes_.push_back(node);
  }

  // Operands that are all transposed from [B,S,H,D] are read from there; if some are not, none is.
  void match_layout() {
    const bool k_swapped = transposed_keys_ ? has_perm(*k_.node, {0, 2, 3, 1}) : has_perm(*k_.node, {0, 2, 1, 3});
    if (k_swapped && has_perm(*q_.node, {0, 2, 1, 3}) && has_perm(*v_.node, {0, 2, 1, 3})) {
      attrs_.bshd = true;
      for (ir::Value* value : {&q_, &k_, &v_}) {
        ir::Node* node = value->node;
        note(node);
        *value = node->inputs[0];
      }
      unscale(q_);
      unscale(k_);
    } else if (transposed_keys_) {
      const ir::Value source = k_.node->inputs[0];
      const PartialShape& from = shape_of(source);
      const std::int64_t perm[] = {0, 2, 1, 3};
      const ir::Value swapped = editor_.constant(int_vector(perm), k_.node->name + "/perm");
      const ir::ValueType type{DataType::kFloat32, PartialShape{from[0], from[2], from[1], from[3]}};
      k_ = editor_.add("transpose", k_.node->name, {source, swapped}, {}, type)->output();
    }
  }

  void match_join() {
    ir::Node* join = editor_.sole_user(last_->output());
    if (join == nullptr || !has_perm(*join, {0, 2, 1, 3}) || !editor_.absorbable(last_)) return;
    attrs_.output_bshd = true;
    nodes_.push_back(last_);
    last_ = join;
  }

  Editor& editor_;
  ir::Node* softmax_;
  ir::Node* product_ = nullptr;  // q k^T
  ir::Node* last_ = nullptr;     // what becomes the attention
  ir::Value q_, k_, v_, mask_;
  bool transposed_keys_ = false;
  ops::AttentionAttrs attrs_;
  std::vector<ir::Node*> nodes_;
};

}  // namespace

bool fuse_attention(ir::Graph& graph) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (!editor.released(node) && node->is("softmax") && node->inputs.size() == 1) Matcher(editor, node).fuse();
  }
  return editor.finish();
}

}  // namespace tenon::passes
