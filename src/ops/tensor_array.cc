// TF1's TensorArrays: mutable arrays behind handles, ordered by a "flow" value that every op passes on.
#include <algorithm>
#include <mutex>
#include <vector>

#include "ir/eval_context.h"
#include "ir/infer_context.h"
#include "ops/element_shape.h"
#include "ops/elements.h"
#include "ops/registry.h"
#include "ops/resource_handle.h"

namespace tenon::ops {
namespace {

using ir::EvalContext;
using ir::InferContext;

constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;

// Thread-safe; the options do not change. Methods throw via ctx.
class TensorArray : public Object {
 public:
  DataType dtype = DataType::kInvalid;
  bool dynamic_size = false;
  bool clear_after_read = true;
  bool identical_shapes = false;

  TensorArray(std::int64_t size, PartialShape element_shape) : element_shape_(std::move(element_shape)), elements_(static_cast<std::size_t>(size)) {}

  std::int64_t size() const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::int64_t>(elements_.size());
  }

  void write(const EvalContext& ctx, std::int64_t index, Tensor value) {
    const std::lock_guard lock(mutex_);
    if (index < 0 || index >= kMaxElements) ctx.fail_node("index {} is out of range", index);
    if (index >= static_cast<std::int64_t>(elements_.size())) {
      if (!dynamic_size) ctx.fail_node("index {} is outside the array of {} elements, which may not grow", index, elements_.size());
      elements_.resize(static_cast<std::size_t>(index) + 1);
    }
    if (value.dtype() != dtype) ctx.fail_node("the array holds {}, the value is {}", dtype_name(dtype), value.describe());
    if (!element_shape_.admits(value.shape())) {
      ctx.fail_node("elements have shape {}, the value is {}", element_shape_.to_string(), value.describe());
    }
    Element& element = elements_[static_cast<std::size_t>(index)];
    if (element.written) ctx.fail_node("element {} is written twice", index);
    if (identical_shapes) element_shape_ = value.shape();
    element = {std::move(value), true, false};
  }

  // Elements that were never written read as zeros where their shape is known.
  Tensor read(const EvalContext& ctx, std::int64_t index) {
    const std::lock_guard lock(mutex_);
    if (index < 0 || index >= static_cast<std::int64_t>(elements_.size())) {
      ctx.fail_node("index {} is outside the array of {} elements", index, elements_.size());
    }
    Element& element = elements_[static_cast<std::size_t>(index)];
    if (element.cleared) ctx.fail_node("element {} is read twice, and clear_after_read is set", index);
    if (!element.written) {
      if (!element_shape_.fully_known()) ctx.fail_node("element {} was not written", index);
      return zeros(dtype, element_shape_.to_shape());
    }
    Tensor value = element.value;
    if (clear_after_read) {
      element.value = Tensor();
      element.cleared = true;
    }
    return value;
  }

  PartialShape element_shape() const {
    const std::lock_guard lock(mutex_);
    return element_shape_;
  }

  // Before a scatter or split of `count` elements.
  void reserve(const EvalContext& ctx, std::int64_t count) {
    const std::lock_guard lock(mutex_);
    const auto size = static_cast<std::int64_t>(elements_.size());
    if (count <= size) return;
    if (!dynamic_size || count > kMaxElements) ctx.fail_node("{} elements do not fit an array of {}, which may not grow", count, size);
    elements_.resize(static_cast<std::size_t>(count));
  }

 private:
  struct Element {
    Tensor value;
    bool written = false;
    bool cleared = false;
  };
  mutable std::mutex mutex_;
  PartialShape element_shape_;
  std::vector<Element> elements_;
};

std::shared_ptr<TensorArray> array_operand(const EvalContext& ctx) { return handle_operand<TensorArray>(ctx, 0, "a TensorArray"); }

void infer_array(InferContext& ctx) {
  ctx.set_output(0, DataType::kResource, Shape{});
  ctx.set_output(1, DataType::kFloat32, Shape{});
}

void infer_flow(InferContext& ctx) { ctx.set_output(0, DataType::kFloat32, Shape{}); }

// What the node that made the handle says of its elements.
PartialShape declared_element_shape(InferContext& ctx) {
  ir::Value value = ctx.node().inputs.at(0);
  while ((value.node->is("identity") || value.node->is("enter")) && value.node->inputs.size() == 1) value = value.node->inputs[0];
  return value.node->is("tensor_array") ? value.node->attr_or<PartialShape>("element_shape", {}) : PartialShape{};
}

void infer_read(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), declared_element_shape(ctx));
}

void infer_gather(InferContext& ctx) {
  ctx.expect_inputs(3);
  const PartialShape& indices = ctx.input_shape(1);
  PartialShape element = ctx.attrs().get_or<PartialShape>("element_shape", {});
  if (!element.known_rank()) element = declared_element_shape(ctx);
  const Dim rows = indices.known_rank() && indices.rank() == 1 ? indices[0] : ctx.fresh();
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), with_rows(rows, element));
}

void infer_concat(InferContext& ctx) {
  const auto rest = ctx.attrs().get_or<PartialShape>("element_shape_except0", {});
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), with_rows(ctx.fresh(), rest));
  ctx.set_output(1, DataType::kInt64, PartialShape{ctx.fresh()});
}

void infer_size(InferContext& ctx) { ctx.set_output(0, DataType::kInt32, Shape{}); }
void infer_close(InferContext& ctx) { ctx.set_num_outputs(0); }

void evaluate_array(EvalContext& ctx) {
  const std::int64_t size = ctx.integer(0);
  if (size < 0 || size > kMaxElements) ctx.fail_node("an array of {} elements", size);
  auto array = std::make_shared<TensorArray>(size, ctx.attrs().get_or<PartialShape>("element_shape", {}));
  array->dtype = ctx.attrs().get<DataType>("dtype");
  array->dynamic_size = ctx.attrs().get_or<bool>("dynamic_size", false);
  array->clear_after_read = ctx.attrs().get_or<bool>("clear_after_read", true);
  array->identical_shapes = ctx.attrs().get_or<bool>("identical_element_shapes", false);
  ctx.set_output(0, make_handle(std::move(array)));
  if (ctx.num_outputs() > 1) ctx.set_output(1, Tensor::scalar(0.0f));
}

void evaluate_write(EvalContext& ctx) {
  array_operand(ctx)->write(ctx, ctx.integer(1), ctx.input(2));
  ctx.set_output(0, ctx.input(3));
}

void check_dtype(const EvalContext& ctx, const TensorArray& array) {
  const auto wanted = ctx.attrs().get<DataType>("dtype");
  if (array.dtype != wanted) ctx.fail_node("the array holds {}, {} is to be read", dtype_name(array.dtype), dtype_name(wanted));
}

void evaluate_read(EvalContext& ctx) {
  const auto array = array_operand(ctx);
  check_dtype(ctx, *array);
  ctx.set_output(0, array->read(ctx, ctx.integer(1)));
}

void evaluate_gather(EvalContext& ctx) {
  const auto array = array_operand(ctx);
  check_dtype(ctx, *array);
  const std::vector<std::int64_t> indices = ctx.integers(1);
  auto element = merge_element_shapes(ctx.attrs().get_or<PartialShape>("element_shape", {}), array->element_shape());
  std::vector<Tensor> values;
  for (const std::int64_t index : indices) {
    values.push_back(array->read(ctx, index));
    if (element) element = merge_element_shapes(*element, values.back().shape());
  }
  if (!element) ctx.fail_node("the elements differ in shape");
  if (!element->fully_known()) ctx.fail_node("no element is read, and their shape {} is not known in full", element->to_string());
  const Shape shape = element->to_shape();
  Tensor& out = ctx.allocate(0, array->dtype, with_rows(static_cast<std::int64_t>(indices.size()), shape));
  for (std::size_t i = 0; i < values.size(); ++i) {
    copy_elements(out, static_cast<std::int64_t>(i) * shape.num_elements(), values[i], 0, shape.num_elements());
  }
}

void evaluate_scatter(EvalContext& ctx) {
  const auto array = array_operand(ctx);
  const std::vector<std::int64_t> indices = ctx.integers(1);
  const Tensor& value = ctx.input(2);
  if (value.rank() == 0 || value.dim(0) != static_cast<std::int64_t>(indices.size())) {
    ctx.fail_node("{} indices for the rows of {}", indices.size(), value.describe());
  }
  const auto last = std::max_element(indices.begin(), indices.end());
  if (last != indices.end()) array->reserve(ctx, *last + 1);
  for (std::size_t i = 0; i < indices.size(); ++i) {
    array->write(ctx, indices[i], value.rows(static_cast<std::int64_t>(i), 1).reshaped(without_rows(value.shape())));
  }
  ctx.set_output(0, ctx.input(3));
}

void evaluate_concat(EvalContext& ctx) {
  const auto array = array_operand(ctx);
  check_dtype(ctx, *array);
  const std::int64_t count = array->size();
  auto rest = std::optional(ctx.attrs().get_or<PartialShape>("element_shape_except0", {}));
  std::vector<Tensor> values;
  Tensor lengths(DataType::kInt64, {count});
  std::int64_t rows = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(array->read(ctx, i));
    if (values.back().rank() == 0) ctx.fail_node("element {} is a scalar, it has no rows", i);
    rest = merge_element_shapes(*rest, without_rows(values.back().shape()));
    if (!rest) ctx.fail_node("element {} is {}, which does not fit the others", i, values.back().describe());
    lengths.flat<std::int64_t>()[static_cast<std::size_t>(i)] = values.back().dim(0);
    rows += values.back().dim(0);
  }
  if (!rest->fully_known()) ctx.fail_node("the array is empty, and the shape of its elements is not known");
  Tensor& out = ctx.allocate(0, array->dtype, with_rows(rows, rest->to_shape()));
  std::int64_t at = 0;
  for (const Tensor& value : values) {
    copy_elements(out, at, value, 0, value.num_elements());
    at += value.num_elements();
  }
  ctx.set_output(1, std::move(lengths));
}

void evaluate_split(EvalContext& ctx) {
  const auto array = array_operand(ctx);
  const Tensor& value = ctx.input(1);
  const std::vector<std::int64_t> lengths = ctx.integers(2);
  if (value.rank() == 0) ctx.fail_node("a scalar cannot be split");
  array->reserve(ctx, static_cast<std::int64_t>(lengths.size()));
  std::int64_t at = 0;
  for (const std::int64_t length : lengths) {
    if (length < 0 || length > value.dim(0) - at) ctx.fail_node("the lengths do not add up to {} rows", value.dim(0));
    at += length;
  }
  if (at != value.dim(0)) ctx.fail_node("the lengths add up to {}, the value has {} rows", at, value.dim(0));
  at = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    array->write(ctx, static_cast<std::int64_t>(i), value.rows(at, lengths[i]));
    at += lengths[i];
  }
  ctx.set_output(0, ctx.input(3));
}

void evaluate_size(EvalContext& ctx) { ctx.set_output(0, Tensor::scalar(static_cast<std::int32_t>(array_operand(ctx)->size()))); }
void evaluate_close(EvalContext& ctx) { array_operand(ctx); }

constexpr ir::OpDef kOps[] = {
    {"tensor_array", infer_array, evaluate_array, ir::kStateful},
    {"tensor_array_write", infer_flow, evaluate_write, ir::kStateful},
    {"tensor_array_read", infer_read, evaluate_read, ir::kStateful},
    {"tensor_array_gather", infer_gather, evaluate_gather, ir::kStateful},
    {"tensor_array_scatter", infer_flow, evaluate_scatter, ir::kStateful},
    {"tensor_array_concat", infer_concat, evaluate_concat, ir::kStateful},
    {"tensor_array_split", infer_flow, evaluate_split, ir::kStateful},
    {"tensor_array_size", infer_size, evaluate_size, ir::kStateful},
    {"tensor_array_close", infer_close, evaluate_close, ir::kStateful},
};

constexpr ImportRule kRules[] = {
    {"TensorArrayV2", "tensor_array"},
    {"TensorArrayV3", "tensor_array"},
    {"TensorArrayWriteV2", "tensor_array_write"},
    {"TensorArrayWriteV3", "tensor_array_write"},
    {"TensorArrayReadV2", "tensor_array_read"},
    {"TensorArrayReadV3", "tensor_array_read"},
    {"TensorArrayGatherV2", "tensor_array_gather"},
    {"TensorArrayGatherV3", "tensor_array_gather"},
    {"TensorArrayScatterV2", "tensor_array_scatter"},
    {"TensorArrayScatterV3", "tensor_array_scatter"},
    {"TensorArrayConcatV2", "tensor_array_concat"},
    {"TensorArrayConcatV3", "tensor_array_concat"},
    {"TensorArraySplitV2", "tensor_array_split"},
    {"TensorArraySplitV3", "tensor_array_split"},
    {"TensorArraySizeV2", "tensor_array_size"},
    {"TensorArraySizeV3", "tensor_array_size"},
    {"TensorArrayCloseV2", "tensor_array_close"},
    {"TensorArrayCloseV3", "tensor_array_close"},
};

}  // namespace

const OpFamily& tensor_array_family() {
  static const OpFamily family{"tensor_array", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
