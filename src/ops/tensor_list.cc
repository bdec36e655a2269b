// TensorLists: immutable values in variant tensors. A list that nobody else holds is changed in place.
#include <algorithm>
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

// More elements than a program can mean; a bound on what a hostile size can allocate.
constexpr std::int64_t kMaxElements = std::int64_t{1} << 28;

struct TensorList : Object {
  DataType dtype = DataType::kInvalid;
  PartialShape element_shape;
  std::int64_t max_elements = -1;  // -1: unbounded
  std::vector<Tensor> elements;    // an invalid tensor: not set yet
};
using ListPtr = std::shared_ptr<TensorList>;

ListPtr as_list(const EvalContext& ctx, const ObjectPtr& object) {
  auto list = std::dynamic_pointer_cast<TensorList>(object);
  if (list == nullptr) ctx.fail_node("an operand is not a TensorList");
  return list;
}

std::shared_ptr<const TensorList> list_operand(const EvalContext& ctx, int i) {
  return handle_operand<TensorList>(ctx, i, "a TensorList");
}

// The list of operand `i` to be changed: the operand's own when nobody else holds it, else a copy.
ListPtr take_list(EvalContext& ctx, int i) {
  handle_operand<TensorList>(ctx, i, "a TensorList");
  Tensor handle = ctx.take_input(i);
  ListPtr list;
  if (handle.sole_owner()) {
    list = std::static_pointer_cast<TensorList>(std::move(handle.flat<ObjectPtr>()[0]));
  } else {
    list = std::static_pointer_cast<TensorList>(handle.flat<ObjectPtr>()[0]);
  }
  handle = Tensor();
  if (list.use_count() == 1) return list;
  return std::make_shared<TensorList>(*list);
}

void set_list(EvalContext& ctx, int i, ListPtr list) { ctx.set_output(i, make_handle(std::move(list), DataType::kVariant)); }

void check_dtype(const EvalContext& ctx, const TensorList& list, DataType dtype) {
  if (list.dtype != dtype) ctx.fail_node("the list holds {}, {} is wanted", dtype_name(list.dtype), dtype_name(dtype));
}

void check_element(const EvalContext& ctx, const TensorList& list, const Tensor& element) {
  check_dtype(ctx, list, element.dtype());
  if (!list.element_shape.admits(element.shape())) {
    ctx.fail_node("elements have shape {}, the new one is {}", list.element_shape.to_string(), element.describe());
  }
}

std::int64_t checked_count(const EvalContext& ctx, std::int64_t count) {
  if (count < 0 || count > kMaxElements) ctx.fail_node("a list of {} elements", count);
  return count;
}

std::size_t checked_index(const EvalContext& ctx, const TensorList& list, std::int64_t index) {
  if (index < 0 || index >= static_cast<std::int64_t>(list.elements.size())) {
    ctx.fail_node("index {} is outside the list of {} elements", index, list.elements.size());
  }
  return static_cast<std::size_t>(index);
}

PartialShape merged(const EvalContext& ctx, const PartialShape& a, const PartialShape& b) {
  const auto shape = merge_element_shapes(a, b);
  if (!shape) ctx.fail_node("element shapes {} and {} do not go together", a.to_string(), b.to_string());
  return *shape;
}

// What is known of the shape of elements: the list's, the operand's, and that of the elements that are set.
PartialShape known_element_shape(const EvalContext& ctx, const TensorList& list, const PartialShape& wanted) {
  PartialShape shape = merged(ctx, list.element_shape, wanted);
  for (const Tensor& element : list.elements) {
    if (shape.fully_known()) break;
    if (element.valid()) shape = merged(ctx, shape, element.shape());
  }
  return shape;
}

Shape full_shape(const EvalContext& ctx, const PartialShape& shape) {
  if (!shape.fully_known()) {
    ctx.fail_node("an element is not set and its shape {} is not known in full, so zeros cannot stand for it", shape.to_string());
  }
  return shape.to_shape();
}

// --- inference

void infer_list(InferContext& ctx) { ctx.set_output(0, DataType::kVariant, Shape{}); }
void infer_list_like_operand(InferContext& ctx) { ctx.set_output(0, DataType::kVariant, ctx.input_shape(0)); }

void infer_length(InferContext& ctx) { ctx.set_output(0, DataType::kInt32, Shape{}); }

void infer_element_shape(InferContext& ctx) { ctx.set_output(0, ctx.attrs().get_or<DataType>("shape_type", DataType::kInt32), {}); }

void infer_get_item(InferContext& ctx) {
  ctx.expect_inputs(3);
  ctx.set_output(0, ctx.attrs().get<DataType>("element_dtype"), element_shape_operand(ctx, 2));
}

void infer_pop_back(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, DataType::kVariant, Shape{});
  ctx.set_output(1, ctx.attrs().get<DataType>("element_dtype"), element_shape_operand(ctx, 1));
}

void infer_stack(InferContext& ctx) {
  ctx.expect_inputs(2);
  const auto count = ctx.attrs().get_or<std::int64_t>("num_elements", -1);
  const Dim rows = count < 0 ? ctx.fresh() : Dim(count);
  ctx.set_output(0, ctx.attrs().get<DataType>("element_dtype"), with_rows(rows, element_shape_operand(ctx, 1)));
}

void infer_gather(InferContext& ctx) {
  ctx.expect_inputs(3);
  const PartialShape& indices = ctx.input_shape(1);
  const Dim rows = indices.known_rank() && indices.rank() == 1 ? indices[0] : ctx.fresh();
  ctx.set_output(0, ctx.attrs().get<DataType>("element_dtype"), with_rows(rows, element_shape_operand(ctx, 2)));
}

void infer_concat(InferContext& ctx) {
  const PartialShape shape =
      ctx.num_inputs() > 1 ? element_shape_operand(ctx, 1) : ctx.attrs().get_or<PartialShape>("element_shape", {});
  const PartialShape rest = without_rows(shape);
  ctx.set_output(0, ctx.attrs().get<DataType>("element_dtype"), with_rows(ctx.fresh(), rest));
  ctx.set_output(1, DataType::kInt64, PartialShape{ctx.fresh()});
}

// --- making lists

ListPtr new_list(EvalContext& ctx, DataType dtype, PartialShape element_shape, std::int64_t count) {
  auto list = std::make_shared<TensorList>();
  list->dtype = dtype;
  list->element_shape = std::move(element_shape);
  list->elements.resize(static_cast<std::size_t>(checked_count(ctx, count)));
  return list;
}

void evaluate_empty(EvalContext& ctx) {
  ListPtr list = new_list(ctx, ctx.attrs().get<DataType>("element_dtype"), element_shape_operand(ctx, 0), 0);
  list->max_elements = ctx.integer(1);
  set_list(ctx, 0, std::move(list));
}

void evaluate_reserve(EvalContext& ctx) {
  set_list(ctx, 0, new_list(ctx, ctx.attrs().get<DataType>("element_dtype"), element_shape_operand(ctx, 0), ctx.integer(1)));
}

Tensor row_of(const Tensor& tensor, std::int64_t row) { return tensor.rows(row, 1).reshaped(without_rows(tensor.shape())); }

void check_rows(const EvalContext& ctx, const Tensor& tensor, const PartialShape& element_shape) {
  if (tensor.rank() == 0) ctx.fail_node("a scalar has no rows to make a list of");
  if (!element_shape.admits(without_rows(tensor.shape()))) {
    ctx.fail_node("elements have shape {}, the tensor is {}", element_shape.to_string(), tensor.describe());
  }
}

void evaluate_from_tensor(EvalContext& ctx) {
  const Tensor& tensor = ctx.input(0);
  const PartialShape element_shape = element_shape_operand(ctx, 1);
  check_rows(ctx, tensor, element_shape);
  ListPtr list = new_list(ctx, tensor.dtype(), element_shape, tensor.dim(0));
  for (std::int64_t i = 0; i < tensor.dim(0); ++i) list->elements[static_cast<std::size_t>(i)] = row_of(tensor, i);
  set_list(ctx, 0, std::move(list));
}

void put_rows(EvalContext& ctx, TensorList& list, const Tensor& tensor, const std::vector<std::int64_t>& indices) {
  check_rows(ctx, tensor, list.element_shape);
  check_dtype(ctx, list, tensor.dtype());
  if (tensor.dim(0) != static_cast<std::int64_t>(indices.size())) {
    ctx.fail_node("{} indices for the rows of {}", indices.size(), tensor.describe());
  }
  std::int64_t needed = static_cast<std::int64_t>(list.elements.size());
  for (const std::int64_t index : indices) {
    if (index < 0) ctx.fail_node("index {} is negative", index);
    needed = std::max(needed, checked_count(ctx, index) + 1);
  }
  list.elements.resize(static_cast<std::size_t>(checked_count(ctx, needed)));
  for (std::size_t i = 0; i < indices.size(); ++i) {
    list.elements[static_cast<std::size_t>(indices[i])] = row_of(tensor, static_cast<std::int64_t>(i));
  }
}

// tensor, indices, element_shape and, in version 2, the number of elements (-1: as many as the indices need).
void evaluate_scatter(EvalContext& ctx) {
  const std::vector<std::int64_t> indices = ctx.integers(1);
  const std::int64_t count = ctx.num_inputs() > 3 ? ctx.integer(3) : -1;
  ListPtr list = new_list(ctx, ctx.input(0).dtype(), element_shape_operand(ctx, 2), std::max<std::int64_t>(count, 0));
  for (const std::int64_t index : indices) {
    if (count >= 0 && index >= count) ctx.fail_node("index {} is outside the list of {} elements", index, count);
  }
  put_rows(ctx, *list, ctx.input(0), indices);
  set_list(ctx, 0, std::move(list));
}

void evaluate_scatter_into(EvalContext& ctx) {
  const std::vector<std::int64_t> indices = ctx.integers(2);
  ListPtr list = take_list(ctx, 0);
  put_rows(ctx, *list, ctx.input(1), indices);
  set_list(ctx, 0, std::move(list));
}

void evaluate_split(EvalContext& ctx) {
  const Tensor& tensor = ctx.input(0);
  const PartialShape element_shape = element_shape_operand(ctx, 1);
  const std::vector<std::int64_t> lengths = ctx.integers(2);
  if (tensor.rank() == 0) ctx.fail_node("a scalar cannot be split");
  ListPtr list = new_list(ctx, tensor.dtype(), element_shape, static_cast<std::int64_t>(lengths.size()));
  std::int64_t at = 0;
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < 0 || lengths[i] > tensor.dim(0) - at) ctx.fail_node("the lengths do not add up to {} rows", tensor.dim(0));
    list->elements[i] = tensor.rows(at, lengths[i]);
    check_element(ctx, *list, list->elements[i]);
    at += lengths[i];
  }
  if (at != tensor.dim(0)) ctx.fail_node("the lengths add up to {}, the tensor has {} rows", at, tensor.dim(0));
  set_list(ctx, 0, std::move(list));
}

// --- changing lists

void evaluate_set_item(EvalContext& ctx) {
  const std::int64_t index = ctx.integer(1);
  const Tensor item = ctx.input(2);
  ListPtr list = take_list(ctx, 0);
  check_element(ctx, *list, item);
  const bool grows = ctx.attrs().get_or<bool>("resize_if_index_out_of_bounds", false);
  if (grows && index >= static_cast<std::int64_t>(list->elements.size())) {
    list->elements.resize(static_cast<std::size_t>(checked_count(ctx, index)) + 1);
  }
  list->elements[checked_index(ctx, *list, index)] = item;
  set_list(ctx, 0, std::move(list));
}

void push_back(const EvalContext& ctx, TensorList& list, Tensor item) {
  check_element(ctx, list, item);
  if (list.max_elements >= 0 && static_cast<std::int64_t>(list.elements.size()) >= list.max_elements) {
    ctx.fail_node("the list already has its maximum of {} elements", list.max_elements);
  }
  list.elements.push_back(std::move(item));
}

void evaluate_push_back(EvalContext& ctx) {
  ListPtr list = take_list(ctx, 0);
  push_back(ctx, *list, ctx.input(1));
  set_list(ctx, 0, std::move(list));
}

Tensor element_or_zeros(const EvalContext& ctx, const TensorList& list, std::size_t index, const PartialShape& wanted) {
  const Tensor& element = list.elements[index];
  return element.valid() ? element : zeros(list.dtype, full_shape(ctx, known_element_shape(ctx, list, wanted)));
}

void evaluate_pop_back(EvalContext& ctx) {
  const PartialShape wanted = element_shape_operand(ctx, 1);
  ListPtr list = take_list(ctx, 0);
  check_dtype(ctx, *list, ctx.attrs().get<DataType>("element_dtype"));
  if (list->elements.empty()) ctx.fail_node("the list is empty");
  ctx.set_output(1, element_or_zeros(ctx, *list, list->elements.size() - 1, wanted));
  list->elements.pop_back();
  set_list(ctx, 0, std::move(list));
}

void evaluate_resize(EvalContext& ctx) {
  const std::int64_t count = checked_count(ctx, ctx.integer(1));
  ListPtr list = take_list(ctx, 0);
  list->elements.resize(static_cast<std::size_t>(count));
  set_list(ctx, 0, std::move(list));
}

// Variant tensors of equal shape, element by element.
void evaluate_concat_lists(EvalContext& ctx) {
  const Tensor& a = ctx.input(0);
  const Tensor& b = ctx.input(1);
  if (a.shape() != b.shape()) ctx.fail_node("operands of shapes {} and {}", a.shape().to_string(), b.shape().to_string());
  Tensor out(DataType::kVariant, a.shape());
  for (std::size_t i = 0; i < static_cast<std::size_t>(a.num_elements()); ++i) {
    const ListPtr first = as_list(ctx, a.flat<ObjectPtr>()[i]);
    const ListPtr second = as_list(ctx, b.flat<ObjectPtr>()[i]);
    check_dtype(ctx, *second, first->dtype);
    auto list = std::make_shared<TensorList>(*first);
    list->element_shape = merged(ctx, first->element_shape, second->element_shape);
    list->elements.insert(list->elements.end(), second->elements.begin(), second->elements.end());
    out.flat<ObjectPtr>()[i] = std::move(list);
  }
  ctx.set_output(0, std::move(out));
}

void evaluate_push_back_batch(EvalContext& ctx) {
  const Tensor& handles = ctx.input(0);
  const Tensor& rows = ctx.input(1);
  if (handles.rank() != 1 || rows.rank() == 0 || rows.dim(0) != handles.dim(0)) {
    ctx.fail_node("lists {} and rows {}", handles.describe(), rows.describe());
  }
  Tensor out(DataType::kVariant, handles.shape());
  for (std::int64_t i = 0; i < handles.dim(0); ++i) {
    auto list = std::make_shared<TensorList>(*as_list(ctx, handles.flat<ObjectPtr>()[static_cast<std::size_t>(i)]));
    push_back(ctx, *list, row_of(rows, i));
    out.flat<ObjectPtr>()[static_cast<std::size_t>(i)] = std::move(list);
  }
  ctx.set_output(0, std::move(out));
}

// --- reading lists

void evaluate_length(EvalContext& ctx) {
  ctx.set_output(0, Tensor::scalar(static_cast<std::int32_t>(list_operand(ctx, 0)->elements.size())));
}

void evaluate_element_shape(EvalContext& ctx) {
  const PartialShape& shape = list_operand(ctx, 0)->element_shape;
  const auto type = ctx.attrs().get_or<DataType>("shape_type", DataType::kInt32);
  Tensor& out = ctx.allocate(0, type, shape.known_rank() ? Shape{shape.rank()} : Shape{});
  const auto store = [&](std::size_t i, std::int64_t size) {
    if (type == DataType::kInt64) {
      out.flat<std::int64_t>()[i] = size;
    } else {
      out.flat<std::int32_t>()[i] = static_cast<std::int32_t>(size);
    }
  };
  if (!shape.known_rank()) return store(0, -1);
  for (int i = 0; i < shape.rank(); ++i) store(static_cast<std::size_t>(i), shape[i].known() ? shape[i].size() : -1);
}

void evaluate_get_item(EvalContext& ctx) {
  const auto list = list_operand(ctx, 0);
  check_dtype(ctx, *list, ctx.attrs().get<DataType>("element_dtype"));
  const std::size_t index = checked_index(ctx, *list, ctx.integer(1));
  const PartialShape wanted = ctx.num_inputs() > 2 ? element_shape_operand(ctx, 2) : PartialShape{};
  ctx.set_output(0, element_or_zeros(ctx, *list, index, wanted));
}

// The elements at `indices` as rows of one tensor; those that are not set are zeros.
Tensor gather(const EvalContext& ctx, const TensorList& list, const std::vector<std::int64_t>& indices, const PartialShape& wanted) {
  check_dtype(ctx, list, ctx.attrs().get<DataType>("element_dtype"));
  const PartialShape known = known_element_shape(ctx, list, wanted);
  if (!known.fully_known()) ctx.fail_node("the shape of the elements, {}, is not known in full", known.to_string());
  const Shape element = known.to_shape();
  Tensor out = zeros(list.dtype, with_rows(static_cast<std::int64_t>(indices.size()), element));
  const std::int64_t size = element.num_elements();
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const Tensor& source = list.elements[checked_index(ctx, list, indices[i])];
    if (!source.valid()) continue;
    if (source.shape() != element) {
      ctx.fail_node("elements of shapes {} and {} cannot be stacked", element.to_string(), source.shape().to_string());
    }
    copy_elements(out, static_cast<std::int64_t>(i) * size, source, 0, size);
  }
  return out;
}

void evaluate_stack(EvalContext& ctx) {
  const auto list = list_operand(ctx, 0);
  const auto count = static_cast<std::int64_t>(list->elements.size());
  const auto declared = ctx.attrs().get_or<std::int64_t>("num_elements", -1);
  if (declared >= 0 && declared != count) ctx.fail_node("the list has {} elements, {} are declared", count, declared);
  std::vector<std::int64_t> indices(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) indices[static_cast<std::size_t>(i)] = i;
  ctx.set_output(0, gather(ctx, *list, indices, element_shape_operand(ctx, 1)));
}

void evaluate_gather(EvalContext& ctx) {
  ctx.set_output(0, gather(ctx, *list_operand(ctx, 0), ctx.integers(1), element_shape_operand(ctx, 2)));
}

// Elements that are not set are zeros of as many rows as leading_dims (version 2) says.
void evaluate_concat(EvalContext& ctx) {
  const auto list = list_operand(ctx, 0);
  check_dtype(ctx, *list, ctx.attrs().get<DataType>("element_dtype"));
  const PartialShape declared = ctx.num_inputs() > 1 ? element_shape_operand(ctx, 1) : ctx.attrs().get_or<PartialShape>("element_shape", {});
  const std::vector<std::int64_t> leading = ctx.num_inputs() > 2 ? ctx.integers(2) : std::vector<std::int64_t>{};
  PartialShape rest = merged(ctx, without_rows(list->element_shape), without_rows(declared));
  Tensor lengths(DataType::kInt64, {static_cast<std::int64_t>(list->elements.size())});
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < list->elements.size(); ++i) {
    const Tensor& element = list->elements[i];
    if (!element.valid() && i >= leading.size()) ctx.fail_node("element {} is not set and its number of rows is not known", i);
    if (element.valid() && element.rank() == 0) ctx.fail_node("element {} is a scalar, it has no rows", i);
    const std::int64_t length = element.valid() ? element.dim(0) : leading[i];
    if (length < 0) ctx.fail_node("leading_dims[{}] is {}", i, length);
    if (element.valid()) rest = merged(ctx, rest, without_rows(element.shape()));
    lengths.flat<std::int64_t>()[i] = length;
    rows += length;
  }
  if (!rest.fully_known()) ctx.fail_node("the shape of the elements, {}, is not known in full", rest.to_string());
  Tensor out = zeros(list->dtype, with_rows(rows, rest.to_shape()));
  const std::int64_t row_size = rest.to_shape().num_elements();
  std::int64_t at = 0;
  for (std::size_t i = 0; i < list->elements.size(); ++i) {
    const Tensor& element = list->elements[i];
    if (element.valid()) copy_elements(out, at, element, 0, element.num_elements());
    at += lengths.flat<std::int64_t>()[i] * row_size;
  }
  ctx.set_output(0, std::move(out));
  ctx.set_output(1, std::move(lengths));
}

// Lists are values, so most of these are pure; constants must not be folded into lists, which cannot be written into files.
constexpr ir::OpDef kOps[] = {
    {"tensor_list_empty", infer_list, evaluate_empty, ir::kStateful},
    {"tensor_list_reserve", infer_list, evaluate_reserve, ir::kStateful},
    {"tensor_list_from_tensor", infer_list, evaluate_from_tensor, ir::kStateful},
    {"tensor_list_scatter", infer_list, evaluate_scatter, ir::kStateful},
    {"tensor_list_split", infer_list, evaluate_split, ir::kStateful},
    {"tensor_list_scatter_into", infer_list_like_operand, evaluate_scatter_into},
    {"tensor_list_set_item", infer_list_like_operand, evaluate_set_item},
    {"tensor_list_push_back", infer_list_like_operand, evaluate_push_back},
    {"tensor_list_push_back_batch", infer_list_like_operand, evaluate_push_back_batch},
    {"tensor_list_pop_back", infer_pop_back, evaluate_pop_back},
    {"tensor_list_resize", infer_list_like_operand, evaluate_resize},
    {"tensor_list_concat_lists", infer_list_like_operand, evaluate_concat_lists},
    {"tensor_list_length", infer_length, evaluate_length},
    {"tensor_list_element_shape", infer_element_shape, evaluate_element_shape},
    {"tensor_list_get_item", infer_get_item, evaluate_get_item},
    {"tensor_list_stack", infer_stack, evaluate_stack},
    {"tensor_list_gather", infer_gather, evaluate_gather},
    {"tensor_list_concat", infer_concat, evaluate_concat},
};

constexpr ImportRule kRules[] = {
    {"EmptyTensorList", "tensor_list_empty"},
    {"TensorListReserve", "tensor_list_reserve"},
    {"TensorListFromTensor", "tensor_list_from_tensor"},
    {"TensorListScatter", "tensor_list_scatter"},
    {"TensorListScatterV2", "tensor_list_scatter"},
    {"TensorListSplit", "tensor_list_split"},
    {"TensorListScatterIntoExistingList", "tensor_list_scatter_into"},
    {"TensorListSetItem", "tensor_list_set_item"},
    {"TensorListPushBack", "tensor_list_push_back"},
    {"TensorListPushBackBatch", "tensor_list_push_back_batch"},
    {"TensorListPopBack", "tensor_list_pop_back"},
    {"TensorListResize", "tensor_list_resize"},
    {"TensorListConcatLists", "tensor_list_concat_lists"},
    {"TensorListLength", "tensor_list_length"},
    {"TensorListElementShape", "tensor_list_element_shape"},
    {"TensorListGetItem", "tensor_list_get_item"},
    {"TensorListStack", "tensor_list_stack"},
    {"TensorListGather", "tensor_list_gather"},
    {"TensorListConcat", "tensor_list_concat"},
    {"TensorListConcatV2", "tensor_list_concat"},
};

}  // namespace

const OpFamily& tensor_list_family() {
  static const OpFamily family{"tensor_list", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
