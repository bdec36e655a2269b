// einsum of two operands -> matmul between transposes and reshapes.
#include <algorithm>

#include "passes/editor.h"
#include "passes/passes.h"

namespace tenon::passes {
namespace {

struct Equation {
  std::string a, b, out;
};

bool distinct_letters(const std::string& term) {
  for (std::size_t i = 0; i < term.size(); ++i) {
    const char c = term[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) || term.find(c, i + 1) != std::string::npos) return false;
  }
  return true;
}

// Two operands and a result, plain letters, none twice in a term.
std::optional<Equation> parse(std::string text) {
  std::erase(text, ' ');
  const std::size_t comma = text.find(','), arrow = text.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || comma > arrow) return std::nullopt;
  Equation e{text.substr(0, comma), text.substr(comma + 1, arrow - comma - 1), text.substr(arrow + 2)};
  if (!distinct_letters(e.a) || !distinct_letters(e.b) || !distinct_letters(e.out)) return std::nullopt;
  return e;
}

bool has(const std::string& term, char c) { return term.find(c) != std::string::npos; }

// Letters of `from` for which keep(letter) holds, in that order.
template <class F>
std::string letters(const std::string& from, F&& keep) {
  std::string result;
  std::copy_if(from.begin(), from.end(), std::back_inserter(result), keep);
  return result;
}

class Lowering {
 public:
  Lowering(Editor& editor, ir::Node* node, Equation equation, SymbolSource& symbols)
      : editor_(editor), node_(node), e_(std::move(equation)), symbols_(symbols) {
    a_ = node->inputs[0];
    b_ = node->inputs[1];
  }

  bool run() {
    if (!shape_of(a_).known_rank() || shape_of(a_).rank() != static_cast<int>(e_.a.size())) return false;
    if (!shape_of(b_).known_rank() || shape_of(b_).rank() != static_cast<int>(e_.b.size())) return false;
    if (!classify()) return false;
    if (swapped()) {
      std::swap(a_, b_);
      std::swap(e_.a, e_.b);
      std::swap(free_a_, free_b_);
    }
    // The right operand keeps its last letter last: a transpose that leaves rows whole is cheap, or vanishes.
    const bool transpose_b = has(contracted_, e_.b.back());
    const bool rows_merge = !batch_.empty() || contracted_.size() > 1;
    if (unknown_products() > 1) return false;
    ir::Value a = arranged(a_, e_.a, batch_ + free_a_ + contracted_);
    ir::Value b = arranged(b_, e_.b, transpose_b ? batch_ + free_b_ + contracted_ : batch_ + contracted_ + free_b_);
    if (rows_merge && (free_a_.size() > 1 || contracted_.size() > 1)) {
      a = merged(a, batch_.empty() ? groups(free_a_, contracted_) : groups_with_batch({free_a_, contracted_}));
    }
    if (free_b_.size() > 1 || contracted_.size() > 1) {
      b = merged(b, transpose_b ? groups_with_batch({free_b_, contracted_}) : groups_with_batch({contracted_, free_b_}));
    }
    finish(a, b, transpose_b);
    return true;
  }

 private:
  using Groups = std::vector<std::string>;  // letters that become one dim each

  bool classify() {
    for (const char c : e_.out) {
      if (!has(e_.a, c) && !has(e_.b, c)) return false;
    }
    batch_ = letters(e_.out, [&](char c) { return has(e_.a, c) && has(e_.b, c); });
    contracted_ = letters(e_.a, [&](char c) { return has(e_.b, c) && !has(e_.out, c); });
    free_a_ = letters(e_.out, [&](char c) { return has(e_.a, c) && !has(e_.b, c); });
    free_b_ = letters(e_.out, [&](char c) { return !has(e_.a, c) && has(e_.b, c); });
    const bool complete = batch_.size() + contracted_.size() + free_a_.size() == e_.a.size() &&
                          batch_.size() + contracted_.size() + free_b_.size() == e_.b.size();
    if (!complete || contracted_.empty() || free_a_.empty() || free_b_.empty()) return false;
    for (const char c : batch_ + contracted_) {  // a size of 1 must not broadcast
      const Dim x = shape_of(a_)[index(e_.a, c)], y = shape_of(b_)[index(e_.b, c)];
      if (x.known() && y.known() && x != y) return false;
    }
    const auto fits = [](const PartialShape& shape) {  // sizes are put together in int32
      return std::all_of(shape.dims().begin(), shape.dims().end(), [](Dim d) { return !d.known() || d.size() < (std::int64_t{1} << 31); });
    };
    return fits(shape_of(a_)) && fits(shape_of(b_));
  }

  // The result has the right operand's letters first.
  bool swapped() const { return e_.out.find(free_b_[0]) < e_.out.find(free_a_[0]); }

  static int index(const std::string& term, char c) { return static_cast<int>(term.find(c)); }

  Dim size(char c) const {
    if (has(e_.a, c)) {
      const Dim dim = shape_of(a_)[index(e_.a, c)];
      if (dim.known() || !has(e_.b, c)) return dim;
    }
    return shape_of(b_)[index(e_.b, c)];
  }

  // Groups of several letters with a size that is not a number: a reshape can leave out one.
  int unknown_products() const {
    int count = 0;
    for (const std::string* group : {&free_a_, &free_b_, &contracted_}) {
      const bool unknown = std::any_of(group->begin(), group->end(), [&](char c) { return !size(c).known(); });
      count += group->size() > 1 && unknown && !(group == &free_a_ && batch_.empty()) ? 1 : 0;
    }
    return count;
  }

  Groups groups_with_batch(const Groups& last) const {
    Groups result;
    for (const char c : batch_) result.emplace_back(1, c);
    result.insert(result.end(), last.begin(), last.end());
    return result;
  }
  static Groups groups(const std::string& singles, const std::string& last) {
    Groups result;
    for (const char c : singles) result.emplace_back(1, c);
    result.push_back(last);
    return result;
  }

  ir::Value arranged(ir::Value value, const std::string& from, const std::string& to) {
    if (from == to) return value;
    std::vector<std::int64_t> perm;
    std::vector<Dim> dims;
    for (const char c : to) {
      perm.push_back(index(from, c));
      dims.push_back(shape_of(value)[index(from, c)]);
    }
    const ir::Value order = editor_.constant(int_vector(perm), node_->name + "/perm");
    return editor_.add("transpose", node_->name + "/transpose", {value, order}, {}, {DataType::kFloat32, PartialShape(dims)})->output();
  }

  Dim product(const std::string& group) {
    std::int64_t result = 1;
    for (const char c : group) {
      if (group.size() == 1) return size(c);
      if (!size(c).known() || __builtin_mul_overflow(result, size(c).size(), &result)) return symbols_.fresh();
    }
    return result;
  }

  ir::Value merged(ir::Value value, const Groups& parts) {
    std::vector<Dim> dims;
    for (const std::string& group : parts) dims.push_back(product(group));
    const PartialShape shape(dims);
    return editor_.add("reshape", node_->name + "/merge", {value, sizes(parts, shape)}, {}, {DataType::kFloat32, shape})->output();
  }

  // The sizes of a reshape: a constant where possible, else put together from the operands' shapes.
  ir::Value sizes(const Groups& parts, const PartialShape& shape) {
    if (const auto target = reshape_target(shape)) return editor_.constant(int_vector(*target), node_->name + "/sizes");
    std::vector<ir::Value> pieces;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Dim dim = shape[static_cast<int>(i)];
      if (dim.known() || parts[i].size() > 1) {
        const std::int32_t number[] = {dim.known() ? static_cast<std::int32_t>(dim.size()) : -1};
        pieces.push_back(editor_.constant(Tensor::vector<std::int32_t>(number), node_->name + "/size"));
      } else {
        pieces.push_back(size_of_letter(parts[i][0]));
      }
    }
    const auto count = static_cast<std::int64_t>(pieces.size());
    pieces.push_back(zero());
    return editor_.add("concat", node_->name + "/sizes", pieces, {}, {DataType::kInt32, PartialShape{count}})->output();
  }

  ir::Value zero() { return editor_.constant(Tensor::scalar<std::int32_t>(0), node_->name + "/zero"); }

  ir::Value size_of_letter(char c) {
    const bool in_a = has(e_.a, c);
    const ir::Value source = in_a ? a_ : b_;
    const std::int32_t axis[] = {index(in_a ? e_.a : e_.b, c)};
    const ir::ValueType all{DataType::kInt32, PartialShape{shape_of(source).rank()}};
    const ir::Value shape = editor_.add("shape", node_->name + "/shape", {source}, {}, all)->output();
    const ir::Value which = editor_.constant(Tensor::vector<std::int32_t>(axis), node_->name + "/axis");
    return editor_.add("gather", node_->name + "/size", {shape, which, zero()}, {}, {DataType::kInt32, PartialShape{1}})->output();
  }

  // The product, its dims taken apart and put in the result's order.
  void finish(ir::Value a, ir::Value b, bool transpose_b) {
    ir::Attrs attrs;
    if (transpose_b) attrs.set("transpose_b", true);
    PartialShape shape = shape_of(a);
    shape[shape.rank() - 1] = shape_of(b)[shape_of(b).rank() - (transpose_b ? 2 : 1)];
    const std::string order = batch_ + free_a_ + free_b_;
    const bool split = shape.rank() != static_cast<int>(order.size());
    if (!split && order == e_.out) return editor_.become(node_, "matmul", {a, b}, std::move(attrs));
    ir::Value value = editor_.add("matmul", node_->name + "/matmul", {a, b}, std::move(attrs), {DataType::kFloat32, shape})->output();
    value.node->origin.op_type = node_->origin.op_type;
    if (split) {
      Groups parts;
      std::vector<Dim> dims;
      for (const char c : order) {
        parts.emplace_back(1, c);
        dims.push_back(size(c));
      }
      const PartialShape full(dims);
      const ir::Value target = sizes(parts, full);
      if (order == e_.out) return editor_.become(node_, "reshape", {value, target}, {});
      value = editor_.add("reshape", node_->name + "/split", {value, target}, {}, {DataType::kFloat32, full})->output();
    }
    std::vector<std::int64_t> perm;
    for (const char c : e_.out) perm.push_back(index(order, c));
    editor_.become(node_, "transpose", {value, editor_.constant(int_vector(perm), node_->name + "/perm")}, {});
  }

  Editor& editor_;
  ir::Node* node_;
  Equation e_;
  ir::Value a_, b_;
  std::string batch_, contracted_, free_a_, free_b_;
  SymbolSource& symbols_;
};

}  // namespace

bool lower_einsum(ir::Graph& graph, SymbolSource& symbols) {
  Editor editor(graph);
  for (ir::Node* node : editor.order()) {
    if (!node->is("einsum") || node->inputs.size() != 2 || !is_float(node->inputs[0]) || !is_float(node->inputs[1])) continue;
    if (auto equation = parse(node->attr<std::string>("equation"))) Lowering(editor, node, *std::move(equation), symbols).run();
  }
  return editor.finish();
}

}  // namespace tenon::passes
