#include "ops/variables.h"

#include <unordered_map>
#include <unordered_set>

#include "base/visit_dtype.h"
#include "ir/infer_context.h"
#include "ops/elements.h"
#include "ops/registry.h"
#include "ops/resource_handle.h"

namespace tenon::ops {

void Variable::load() const {
  if (!load_) return;
  value_ = load_();
  load_ = nullptr;
}

bool Variable::initialized() const {
  const std::lock_guard lock(mutex_);
  load();
  return value_.valid();
}

void Variable::check_initialized() const {
  if (!value_.valid()) {
    fail(ErrorCode::kInvalidArgument, "variable \"{}\" has no value: the checkpoint does not hold it and nothing assigned it", name_);
  }
}

Tensor Variable::read() const {
  const std::lock_guard lock(mutex_);
  load();
  check_initialized();
  return value_;
}

// Memory that others hold, such as an array that the caller fed, may change under the variable: it keeps a copy of that.
void Variable::assign(Tensor value) {
  if (value.valid() && !value.sole_owner()) value = value.clone();
  const std::lock_guard lock(mutex_);
  load_ = nullptr;
  value_ = std::move(value);
}

void Variable::reset() { assign(Tensor()); }

std::shared_ptr<Variable> find_variable(ir::Services& services, const std::string& container, const std::string& name,
                                        DataType dtype) {
  const ObjectPtr object = services.resource(container, name, [&]() -> ObjectPtr {
    return std::make_shared<Variable>(name, [&services, name, dtype] {
      Tensor value = services.checkpoint_value(name);
      if (value.valid() && dtype != DataType::kInvalid && value.dtype() != dtype) {
        fail(ErrorCode::kInvalidModel, "variable \"{}\": the graph declares {}, the checkpoint holds {}", name, dtype_name(dtype),
             value.describe());
      }
      return value;
    });
  });
  auto variable = std::dynamic_pointer_cast<Variable>(object);
  if (variable == nullptr) fail(ErrorCode::kInvalidModel, "variable \"{}\": the name belongs to a resource of another kind", name);
  return variable;
}

std::shared_ptr<Variable> variable_operand(const ir::EvalContext& ctx, int i) {
  return handle_operand<Variable>(ctx, i, "a variable's handle");
}

std::shared_ptr<Variable> bound_variable(ir::EvalContext& ctx) {
  return find_variable(ctx.services(), ctx.attrs().get_or<std::string>("_container", ""), ctx.attrs().get<std::string>("_variable"),
                       DataType::kInvalid);
}

namespace {

using ir::EvalContext;
using ir::InferContext;

// What the node that made the handle says of its variable; unknown when the handle comes from elsewhere.
ir::ValueType variable_type(InferContext& ctx, int i) {
  ctx.input(i);
  ir::Value value = ctx.node().inputs[static_cast<std::size_t>(i)];
  while (value.node->is("identity") || value.node->is("enter")) {
    value = value.node->inputs.at(value.node->is("identity") ? static_cast<std::size_t>(value.index) : 0);
  }
  if (value.node->is("parameter")) return {DataType::kInvalid, value.node->attr_or<PartialShape>("variable_shape", {})};
  if (!value.node->is("var_handle")) return {};
  return {value.node->attr_or<DataType>("dtype", DataType::kInvalid), value.node->attr_or<PartialShape>("shape", {})};
}

void infer_handle(InferContext& ctx) { ctx.set_output(0, DataType::kResource, Shape{}); }

void evaluate_var_handle(EvalContext& ctx) {
  const std::string name = resource_name(ctx.node());
  const auto dtype = ctx.attrs().get<DataType>("dtype");
  ctx.set_output(0, make_handle(find_variable(ctx.services(), ctx.attrs().get_or<std::string>("container", ""), name, dtype)));
}

void infer_read_variable(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), variable_type(ctx, 0).shape);
}

void evaluate_read_variable(EvalContext& ctx) {
  Tensor value = variable_operand(ctx, 0)->read();
  const auto dtype = ctx.attrs().get_or<DataType>("dtype", value.dtype());
  if (value.dtype() != dtype) ctx.fail_node("the variable is {}, {} was to be read", value.describe(), dtype_name(dtype));
  ctx.set_output(0, std::move(value));
}

void infer_nothing(InferContext& ctx) { ctx.set_num_outputs(0); }

void check_same_shape(EvalContext& ctx, const Tensor& value, const Tensor& operand) {
  if (value.dtype() != operand.dtype() || value.shape() != operand.shape()) {
    ctx.fail_node("the variable is {}, the value is {}; they must be alike", value.describe(), operand.describe());
  }
}

void assign(EvalContext& ctx, Variable& variable, Tensor value, bool validate_shape) {
  if (validate_shape && variable.initialized()) check_same_shape(ctx, variable.read(), value);
  variable.assign(std::move(value));
}

void evaluate_assign_variable(EvalContext& ctx) {
  assign(ctx, *variable_operand(ctx, 0), ctx.take_input(1), ctx.attrs().get_or<bool>("validate_shape", false));
}

Tensor update_all(EvalContext& ctx, Variable& variable, Update update, const Tensor& operand) {
  return variable.update([&](Tensor& value) {
    check_same_shape(ctx, value, operand);
    update_elements(update, value, 0, operand, 0, 1, value.num_elements(), ctx.node().describe());
  });
}

template <Update kUpdate>
void evaluate_assign_update(EvalContext& ctx) {
  update_all(ctx, *variable_operand(ctx, 0), kUpdate, ctx.input(1));
}

void infer_bool_scalar(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, DataType::kBool, Shape{});
}

void evaluate_var_is_initialized(EvalContext& ctx) {
  ctx.set_output(0, Tensor::scalar(variable_operand(ctx, 0)->initialized()));
}

void infer_variable_shape(InferContext& ctx) {
  ctx.expect_inputs(1);
  const PartialShape shape = variable_type(ctx, 0).shape;
  const Dim rank = shape.known_rank() ? Dim(shape.rank()) : ctx.fresh();
  ctx.set_output(0, ctx.attrs().get_or<DataType>("out_type", DataType::kInt32), PartialShape{rank});
  if (shape.known_rank()) ctx.set_dims(0, shape.dims());
}

void evaluate_variable_shape(EvalContext& ctx) {
  const Shape shape = variable_operand(ctx, 0)->read().shape();
  const auto type = ctx.attrs().get_or<DataType>("out_type", DataType::kInt32);
  Tensor& out = ctx.allocate(0, type, {shape.rank()});
  visit_dtype(IndexIntegers{}, type, ctx.node().describe(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int i = 0; i < shape.rank(); ++i) out.flat<T>()[static_cast<std::size_t>(i)] = static_cast<T>(shape[i]);
  });
}

void evaluate_disable_copy_on_read(EvalContext&) {}
void evaluate_destroy_resource(EvalContext& ctx) {
  if (const auto variable = std::dynamic_pointer_cast<Variable>(ctx.input(0).flat<ObjectPtr>()[0])) variable->reset();
}

// resource_gather: variable, indices -> variable[batch..., indices[batch..., :], ...]; attribute batch_dims.
void infer_resource_gather(InferContext& ctx) {
  ctx.expect_inputs(2);
  const PartialShape params = variable_type(ctx, 0).shape;
  const PartialShape& indices = ctx.input_shape(1);
  auto batch = ctx.attrs().get_or<std::int64_t>("batch_dims", 0);
  PartialShape out;
  if (params.known_rank() && indices.known_rank()) {
    if (batch < 0) batch += indices.rank();
    if (batch < 0 || batch > indices.rank() || batch >= params.rank()) ctx.fail_node("batch_dims {} is out of range", batch);
    std::vector<Dim> dims(params.dims().begin(), params.dims().begin() + batch);
    dims.insert(dims.end(), indices.dims().begin() + batch, indices.dims().end());
    dims.insert(dims.end(), params.dims().begin() + batch + 1, params.dims().end());
    out = PartialShape(std::move(dims));
  }
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), std::move(out));
}

std::int64_t product(const Shape& shape, int first, int last) {
  std::int64_t n = 1;
  for (int i = first; i < last; ++i) n *= shape[i];
  return n;
}

void evaluate_resource_gather(EvalContext& ctx) {
  const Tensor params = variable_operand(ctx, 0)->read();
  const std::vector<std::int64_t> indices = ctx.integers(1);
  const Shape& index_shape = ctx.input(1).shape();
  auto batch64 = ctx.attrs().get_or<std::int64_t>("batch_dims", 0);
  if (batch64 < 0) batch64 += index_shape.rank();
  if (batch64 < 0 || batch64 > index_shape.rank() || batch64 >= params.rank()) ctx.fail_node("batch_dims is out of range");
  const int batch = static_cast<int>(batch64);
  std::vector<std::int64_t> dims(params.shape().begin(), params.shape().begin() + batch);
  for (int i = 0; i < batch; ++i) {
    if (index_shape[i] != params.dim(i)) {
      ctx.fail_node("indices {} and variable {} differ in batch dimension {}", index_shape.to_string(), params.describe(), i);
    }
  }
  dims.insert(dims.end(), index_shape.begin() + batch, index_shape.end());
  dims.insert(dims.end(), params.shape().begin() + batch + 1, params.shape().end());
  Tensor& out = ctx.allocate(0, params.dtype(), Shape(std::move(dims)));
  const std::int64_t batches = product(params.shape(), 0, batch);
  const std::int64_t rows = params.dim(batch);
  const std::int64_t row = product(params.shape(), batch + 1, params.rank());
  const std::int64_t per_batch = product(index_shape, batch, index_shape.rank());
  for (std::int64_t b = 0; b < batches; ++b) {
    for (std::int64_t i = 0; i < per_batch; ++i) {
      const std::int64_t at = b * per_batch + i;
      const std::int64_t index = indices[static_cast<std::size_t>(at)];
      if (index < 0 || index >= rows) ctx.fail_node("indices[{}] = {} is not in [0, {})", at, index, rows);
      copy_elements(out, at * row, params, (b * rows + index) * row, row);
    }
  }
}

// Where the index vectors in the last dimension of `indices` point in a tensor of shape `params`.
struct NdIndices {
  int depth = 0;           // length of an index vector
  std::int64_t row = 1;    // elements that one index vector addresses
  std::vector<std::int64_t> offsets;
};

NdIndices nd_indices(EvalContext& ctx, int operand, const Shape& params) {
  const Shape& shape = ctx.input(operand).shape();
  if (shape.rank() == 0) ctx.fail_node("indices must have a rank of at least 1");
  const std::int64_t depth = shape[shape.rank() - 1];
  if (depth > params.rank()) ctx.fail_node("index vectors have {} parts, the variable has rank {}", depth, params.rank());
  const std::vector<std::int64_t> values = ctx.integers(operand);
  NdIndices result;
  result.depth = static_cast<int>(depth);
  result.row = product(params, result.depth, params.rank());
  const std::int64_t count = product(shape, 0, shape.rank() - 1);
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t offset = 0;
    for (int d = 0; d < result.depth; ++d) {
      const std::int64_t index = values[static_cast<std::size_t>(i * depth + d)];
      if (index < 0 || index >= params[d]) ctx.fail_node("index {} is not in [0, {}) of dimension {}", index, params[d], d);
      offset = offset * params[d] + index;
    }
    result.offsets.push_back(offset * result.row);
  }
  return result;
}

void infer_resource_gather_nd(InferContext& ctx) {
  ctx.expect_inputs(2);
  const PartialShape params = variable_type(ctx, 0).shape;
  const PartialShape& indices = ctx.input_shape(1);
  PartialShape out;
  if (params.known_rank() && indices.known_rank() && indices.rank() > 0 && indices[indices.rank() - 1].known()) {
    const std::int64_t depth = indices[indices.rank() - 1].size();
    if (depth > params.rank()) ctx.fail_node("index vectors have {} parts, the variable has rank {}", depth, params.rank());
    std::vector<Dim> dims(indices.dims().begin(), indices.dims().end() - 1);
    dims.insert(dims.end(), params.dims().begin() + depth, params.dims().end());
    out = PartialShape(std::move(dims));
  }
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), std::move(out));
}

void evaluate_resource_gather_nd(EvalContext& ctx) {
  const Tensor params = variable_operand(ctx, 0)->read();
  const NdIndices indices = nd_indices(ctx, 1, params.shape());
  const Shape& index_shape = ctx.input(1).shape();
  std::vector<std::int64_t> dims(index_shape.begin(), index_shape.end() - 1);
  dims.insert(dims.end(), params.shape().begin() + indices.depth, params.shape().end());
  Tensor& out = ctx.allocate(0, params.dtype(), Shape(std::move(dims)));
  for (std::size_t i = 0; i < indices.offsets.size(); ++i) {
    copy_elements(out, static_cast<std::int64_t>(i) * indices.row, params, indices.offsets[i], indices.row);
  }
}

// variable[indices[i], ...] <update>= updates[i, ...]; updates may be a scalar.
Tensor scatter(EvalContext& ctx, Variable& variable, Update update) {
  const std::vector<std::int64_t> indices = ctx.integers(1);
  const Tensor& updates = ctx.input(2);
  return variable.update([&](Tensor& value) {
    if (value.rank() == 0) ctx.fail_node("the variable is a scalar, it must have rows");
    if (updates.dtype() != value.dtype()) ctx.fail_node("variable {}, updates {}", value.describe(), updates.describe());
    std::vector<std::int64_t> wanted(ctx.input(1).shape().begin(), ctx.input(1).shape().end());
    wanted.insert(wanted.end(), value.shape().begin() + 1, value.shape().end());
    const bool scalar = updates.rank() == 0;
    if (!scalar && updates.shape() != Shape(wanted)) {
      ctx.fail_node("updates have shape {}, {} is needed", updates.shape().to_string(), Shape(wanted).to_string());
    }
    const std::int64_t row = product(value.shape(), 1, value.rank());
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (indices[i] < 0 || indices[i] >= value.dim(0)) {
        ctx.fail_node("indices[{}] = {} is not in [0, {})", i, indices[i], value.dim(0));
      }
    }
    for (std::size_t i = 0; i < indices.size(); ++i) {
      const std::int64_t from = scalar ? 0 : static_cast<std::int64_t>(i) * row;
      update_elements(update, value, indices[i] * row, updates, from, scalar ? 0 : 1, row, ctx.node().describe());
    }
  });
}

Tensor scatter_nd(EvalContext& ctx, Variable& variable, Update update) {
  const Tensor& updates = ctx.input(2);
  return variable.update([&](Tensor& value) {
    const NdIndices indices = nd_indices(ctx, 1, value.shape());
    const auto count = static_cast<std::int64_t>(indices.offsets.size());
    if (updates.dtype() != value.dtype() || updates.num_elements() != count * indices.row) {
      ctx.fail_node("updates {} do not fit the variable {} and {} index vectors", updates.describe(), value.describe(), count);
    }
    for (std::int64_t i = 0; i < count; ++i) {
      update_elements(update, value, indices.offsets[static_cast<std::size_t>(i)], updates, i * indices.row, 1, indices.row,
                      ctx.node().describe());
    }
  });
}

template <Update kUpdate>
void evaluate_resource_scatter(EvalContext& ctx) {
  scatter(ctx, *variable_operand(ctx, 0), kUpdate);
}
template <Update kUpdate>
void evaluate_resource_scatter_nd(EvalContext& ctx) {
  scatter_nd(ctx, *variable_operand(ctx, 0), kUpdate);
}

// variable -= alpha * delta
Tensor gradient_descent(EvalContext& ctx, Variable& variable) {
  Tensor step = ctx.input(2).clone();
  if (ctx.input(1).num_elements() != 1 || ctx.input(1).dtype() != step.dtype()) ctx.fail_node("alpha must be a scalar of delta's dtype");
  update_elements(Update::kMul, step, 0, ctx.input(1), 0, 0, step.num_elements(), ctx.node().describe());
  return update_all(ctx, variable, Update::kSub, step);
}

void evaluate_resource_gradient_descent(EvalContext& ctx) { gradient_descent(ctx, *variable_operand(ctx, 0)); }

// TF1 reference variables: see bind_ref_variables().

void infer_ref_variable(InferContext& ctx) {
  ctx.set_output(0, ctx.attrs().get<DataType>("dtype"), ctx.attrs().get_or<PartialShape>("shape", {}));
}

// The value. A variable whose value nobody takes through this edge (see bind_ref_variables) may lack one: zeros pass then.
void evaluate_ref_variable(EvalContext& ctx) {
  const auto dtype = ctx.attrs().get<DataType>("dtype");
  const auto variable =
      find_variable(ctx.services(), ctx.attrs().get_or<std::string>("container", ""), resource_name(ctx.node()), dtype);
  if (variable->initialized() || !ctx.attrs().get_or<bool>("_may_be_unset", false)) {
    ctx.set_output(0, variable->read());
    return;
  }
  const auto shape = ctx.attrs().get_or<PartialShape>("shape", {});
  ctx.set_output(0, zeros(dtype, shape.fully_known() ? shape.to_shape() : Shape{0}));
}

void infer_like_variable(InferContext& ctx) { ctx.set_output(0, ctx.input_dtype(0), ctx.input_shape(0)); }

void evaluate_read_ref_variable(EvalContext& ctx) { ctx.set_output(0, bound_variable(ctx)->read()); }

void infer_assign_ref(InferContext& ctx) {
  ctx.expect_inputs(2);
  ctx.set_output(0, ctx.input_dtype(1), ctx.input_shape(1));
}

void evaluate_assign_ref(EvalContext& ctx) {
  const Tensor& value = ctx.input(1);
  const ir::ValueType& declared = ctx.node().inputs[0].node->outputs[static_cast<std::size_t>(ctx.node().inputs[0].index)];
  if (ctx.attrs().get_or<bool>("validate_shape", true) && !declared.shape.admits(value.shape())) {
    ctx.fail_node("the variable's shape is {}, the value is {}", declared.shape.to_string(), value.describe());
  }
  const auto variable = bound_variable(ctx);
  variable->assign(ctx.take_input(1));
  ctx.set_output(0, variable->read());
}

template <Update kUpdate>
void evaluate_ref_update(EvalContext& ctx) {
  ctx.set_output(0, update_all(ctx, *bound_variable(ctx), kUpdate, ctx.input(1)));
}
template <Update kUpdate>
void evaluate_ref_scatter(EvalContext& ctx) {
  ctx.set_output(0, scatter(ctx, *bound_variable(ctx), kUpdate));
}
template <Update kUpdate>
void evaluate_ref_scatter_nd(EvalContext& ctx) {
  ctx.set_output(0, scatter_nd(ctx, *bound_variable(ctx), kUpdate));
}
void evaluate_ref_gradient_descent(EvalContext& ctx) { ctx.set_output(0, gradient_descent(ctx, *bound_variable(ctx))); }
void evaluate_ref_is_initialized(EvalContext& ctx) { ctx.set_output(0, Tensor::scalar(bound_variable(ctx)->initialized())); }

// The value before it is counted up by one; an error once it has reached `limit`.
void evaluate_count_up_to(EvalContext& ctx) {
  const auto limit = ctx.attrs().get<std::int64_t>("limit");
  Tensor before;
  const auto count = [&](Tensor& value) {
    before = value.clone();
    visit_dtype(IndexIntegers{}, value.dtype(), ctx.node().describe(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (value.num_elements() != 1) ctx.fail_node("the variable is {}, it must be a scalar", value.describe());
      T& counter = value.flat<T>()[0];
      if (counter >= limit) ctx.fail_node("reached the limit of {}", limit);
      ++counter;
    });
  };
  if (ctx.input(0).dtype() == DataType::kResource) {
    variable_operand(ctx, 0)->update(count);
  } else {
    bound_variable(ctx)->update(count);
  }
  ctx.set_output(0, std::move(before));
}

void infer_resource_count_up_to(InferContext& ctx) {
  ctx.expect_inputs(1);
  ctx.set_output(0, ctx.attrs().get<DataType>("T"), Shape{});
}

constexpr ir::OpDef kOps[] = {
    {"var_handle", infer_handle, evaluate_var_handle, ir::kStateful},
    {"read_variable", infer_read_variable, evaluate_read_variable, ir::kStateful},
    {"assign_variable", infer_nothing, evaluate_assign_variable, ir::kStateful},
    {"assign_add_variable", infer_nothing, evaluate_assign_update<Update::kAdd>, ir::kStateful},
    {"assign_sub_variable", infer_nothing, evaluate_assign_update<Update::kSub>, ir::kStateful},
    {"var_is_initialized", infer_bool_scalar, evaluate_var_is_initialized, ir::kStateful},
    {"variable_shape", infer_variable_shape, evaluate_variable_shape, ir::kStateful},
    {"disable_copy_on_read", infer_nothing, evaluate_disable_copy_on_read, ir::kStateful},
    {"destroy_resource", infer_nothing, evaluate_destroy_resource, ir::kStateful},
    {"resource_gather", infer_resource_gather, evaluate_resource_gather, ir::kStateful},
    {"resource_gather_nd", infer_resource_gather_nd, evaluate_resource_gather_nd, ir::kStateful},
    {"resource_scatter_update", infer_nothing, evaluate_resource_scatter<Update::kAssign>, ir::kStateful},
    {"resource_scatter_add", infer_nothing, evaluate_resource_scatter<Update::kAdd>, ir::kStateful},
    {"resource_scatter_sub", infer_nothing, evaluate_resource_scatter<Update::kSub>, ir::kStateful},
    {"resource_scatter_mul", infer_nothing, evaluate_resource_scatter<Update::kMul>, ir::kStateful},
    {"resource_scatter_div", infer_nothing, evaluate_resource_scatter<Update::kDiv>, ir::kStateful},
    {"resource_scatter_min", infer_nothing, evaluate_resource_scatter<Update::kMin>, ir::kStateful},
    {"resource_scatter_max", infer_nothing, evaluate_resource_scatter<Update::kMax>, ir::kStateful},
    {"resource_scatter_nd_update", infer_nothing, evaluate_resource_scatter_nd<Update::kAssign>, ir::kStateful},
    {"resource_scatter_nd_add", infer_nothing, evaluate_resource_scatter_nd<Update::kAdd>, ir::kStateful},
    {"resource_scatter_nd_sub", infer_nothing, evaluate_resource_scatter_nd<Update::kSub>, ir::kStateful},
    {"resource_scatter_nd_min", infer_nothing, evaluate_resource_scatter_nd<Update::kMin>, ir::kStateful},
    {"resource_scatter_nd_max", infer_nothing, evaluate_resource_scatter_nd<Update::kMax>, ir::kStateful},
    {"resource_gradient_descent", infer_nothing, evaluate_resource_gradient_descent, ir::kStateful},
    {"resource_count_up_to", infer_resource_count_up_to, evaluate_count_up_to, ir::kStateful},
    {"ref_variable", infer_ref_variable, evaluate_ref_variable, ir::kStateful},
    {"read_ref_variable", infer_like_variable, evaluate_read_ref_variable, ir::kStateful},
    {"assign_ref", infer_assign_ref, evaluate_assign_ref, ir::kStateful},
    {"assign_add_ref", infer_like_variable, evaluate_ref_update<Update::kAdd>, ir::kStateful},
    {"assign_sub_ref", infer_like_variable, evaluate_ref_update<Update::kSub>, ir::kStateful},
    {"scatter_update_ref", infer_like_variable, evaluate_ref_scatter<Update::kAssign>, ir::kStateful},
    {"scatter_add_ref", infer_like_variable, evaluate_ref_scatter<Update::kAdd>, ir::kStateful},
    {"scatter_sub_ref", infer_like_variable, evaluate_ref_scatter<Update::kSub>, ir::kStateful},
    {"scatter_mul_ref", infer_like_variable, evaluate_ref_scatter<Update::kMul>, ir::kStateful},
    {"scatter_div_ref", infer_like_variable, evaluate_ref_scatter<Update::kDiv>, ir::kStateful},
    {"scatter_min_ref", infer_like_variable, evaluate_ref_scatter<Update::kMin>, ir::kStateful},
    {"scatter_max_ref", infer_like_variable, evaluate_ref_scatter<Update::kMax>, ir::kStateful},
    {"scatter_nd_update_ref", infer_like_variable, evaluate_ref_scatter_nd<Update::kAssign>, ir::kStateful},
    {"scatter_nd_add_ref", infer_like_variable, evaluate_ref_scatter_nd<Update::kAdd>, ir::kStateful},
    {"scatter_nd_sub_ref", infer_like_variable, evaluate_ref_scatter_nd<Update::kSub>, ir::kStateful},
    {"gradient_descent_ref", infer_like_variable, evaluate_ref_gradient_descent, ir::kStateful},
    {"is_initialized_ref", infer_bool_scalar, evaluate_ref_is_initialized, ir::kStateful},
    {"count_up_to_ref", infer_like_variable, evaluate_count_up_to, ir::kStateful},
};

constexpr ImportRule kRules[] = {
    {"VarHandleOp", "var_handle"},
    {"ReadVariableOp", "read_variable"},
    {"AssignVariableOp", "assign_variable"},
    {"AssignAddVariableOp", "assign_add_variable"},
    {"AssignSubVariableOp", "assign_sub_variable"},
    {"VarIsInitializedOp", "var_is_initialized"},
    {"VariableShape", "variable_shape"},
    {"DisableCopyOnRead", "disable_copy_on_read"},
    {"DestroyResourceOp", "destroy_resource"},
    {"ResourceGather", "resource_gather"},
    {"ResourceGatherNd", "resource_gather_nd"},
    {"ResourceScatterUpdate", "resource_scatter_update"},
    {"ResourceScatterAdd", "resource_scatter_add"},
    {"ResourceScatterSub", "resource_scatter_sub"},
    {"ResourceScatterMul", "resource_scatter_mul"},
    {"ResourceScatterDiv", "resource_scatter_div"},
    {"ResourceScatterMin", "resource_scatter_min"},
    {"ResourceScatterMax", "resource_scatter_max"},
    {"ResourceScatterNdUpdate", "resource_scatter_nd_update"},
    {"ResourceScatterNdAdd", "resource_scatter_nd_add"},
    {"ResourceScatterNdSub", "resource_scatter_nd_sub"},
    {"ResourceScatterNdMin", "resource_scatter_nd_min"},
    {"ResourceScatterNdMax", "resource_scatter_nd_max"},
    {"ResourceApplyGradientDescent", "resource_gradient_descent"},
    {"ResourceCountUpTo", "resource_count_up_to"},
    {"Variable", "ref_variable"},
    {"VariableV2", "ref_variable"},
    {"RefIdentity", "identity"},
    {"Assign", "assign_ref"},
    {"AssignAdd", "assign_add_ref"},
    {"AssignSub", "assign_sub_ref"},
    {"ScatterUpdate", "scatter_update_ref"},
    {"ScatterAdd", "scatter_add_ref"},
    {"ScatterSub", "scatter_sub_ref"},
    {"ScatterMul", "scatter_mul_ref"},
    {"ScatterDiv", "scatter_div_ref"},
    {"ScatterMin", "scatter_min_ref"},
    {"ScatterMax", "scatter_max_ref"},
    {"ScatterNdUpdate", "scatter_nd_update_ref"},
    {"ScatterNdAdd", "scatter_nd_add_ref"},
    {"ScatterNdSub", "scatter_nd_sub_ref"},
    {"ApplyGradientDescent", "gradient_descent_ref"},
    {"IsVariableInitialized", "is_initialized_ref"},
    {"CountUpTo", "count_up_to_ref"},
};

bool is_ref_op(const ir::Node& node) { return node.op->name.ends_with("_ref"); }

// The variable behind a reference, seen through the nodes that pass references on; null when there is none.
const ir::Node* ref_source(ir::Value value) {
  for (int steps = 0; value.node != nullptr && steps < 1 << 16; ++steps) {
    const ir::Node& node = *value.node;
    if (node.is("ref_variable")) return &node;
    const bool passes = node.is("identity") || node.is("enter") || node.is("switch") || node.is("merge") || node.is("exit") ||
                        node.is("next_iteration") || (is_ref_op(node) && !node.is("is_initialized_ref"));
    if (!passes || node.inputs.empty()) return nullptr;
    const auto operand = node.is("identity") ? static_cast<std::size_t>(value.index) : 0;
    value = node.inputs.at(operand);
  }
  return nullptr;
}

// Marks variables that only ops carrying the variable's name look at, so that their first assignment can run.
void mark_unread(ir::Graph& graph) {
  std::unordered_set<const ir::Node*> read;
  for (const ir::Value value : graph.outputs) read.insert(value.node);
  for (const auto& node : graph.nodes()) {
    for (std::size_t i = 0; i < node->inputs.size(); ++i) {
      if (i > 0 || !node->attrs.has("_variable")) read.insert(node->inputs[i].node);
    }
  }
  for (const auto& node : graph.nodes()) {
    if (node->is("ref_variable") && !read.contains(node.get())) node->attrs.set("_may_be_unset", true);
  }
}

void bind(ir::Node& node, const ir::Node& variable) {
  node.attrs.set("_variable", resource_name(variable));
  node.attrs.set("_container", variable.attr_or<std::string>("container", ""));
}

// A place that takes the value of a reference variable.
struct ValueUse {
  ir::Node* node;
  std::size_t operand;
  const ir::Node* variable;
};

std::vector<ValueUse> value_uses(const ir::Graph& graph) {
  std::vector<ValueUse> uses;
  for (const auto& node : graph.nodes()) {
    for (std::size_t i = is_ref_op(*node) ? 1 : 0; i < node->inputs.size(); ++i) {
      if (const ir::Node* variable = ref_source(node->inputs[i])) uses.push_back({node.get(), i, variable});
    }
  }
  return uses;
}

using NodeSet = std::unordered_set<const ir::Node*>;

// The nodes and all that they depend on.
NodeSet needed_by(const std::vector<ir::Node*>& roots) {
  NodeSet needed;
  std::vector<const ir::Node*> open(roots.begin(), roots.end());
  while (!open.empty()) {
    const ir::Node* node = open.back();
    open.pop_back();
    if (!needed.insert(node).second) continue;
    for (const ir::Value input : node->inputs) open.push_back(input.node);
    open.insert(open.end(), node->control_inputs.begin(), node->control_inputs.end());
  }
  return needed;
}

// What runs after a node that changes the variable, per variable; the changing nodes themselves included.
std::unordered_map<const ir::Node*, NodeSet> nodes_after_changes(const ir::Graph& graph,
                                                                const std::unordered_map<const ir::Node*, std::vector<const ir::Node*>>& changers) {
  std::unordered_map<const ir::Node*, std::vector<const ir::Node*>> followers;
  for (const auto& node : graph.nodes()) {
    for (const ir::Value input : node->inputs) followers[input.node].push_back(node.get());
    for (const ir::Node* input : node->control_inputs) followers[input].push_back(node.get());
  }
  std::unordered_map<const ir::Node*, NodeSet> after;
  for (const auto& [variable, nodes] : changers) {
    NodeSet& reached = after[variable];
    std::vector<const ir::Node*> open(nodes.begin(), nodes.end());
    while (!open.empty()) {
      const ir::Node* node = open.back();
      open.pop_back();
      if (!reached.insert(node).second) continue;
      const auto next = followers.find(node);
      if (next != followers.end()) open.insert(open.end(), next->second.begin(), next->second.end());
    }
  }
  return after;
}

// Makes an operand a new read of the variable, which runs just before the node does.
void insert_read(ir::Graph& graph, const ValueUse& use) {
  const ir::Value old = use.node->inputs[use.operand];
  ir::Node* read = graph.add(op("read_ref_variable"), use.node->name + "/read_again", {old});
  read->outputs[0] = old.node->outputs[static_cast<std::size_t>(old.index)];
  read->origin.op_type = "IdentityN";  // what it is written as
  bind(*read, *use.variable);
  read->control_inputs = use.node->control_inputs;
  for (std::size_t i = 0; i < use.node->inputs.size(); ++i) {
    if (use.node->inputs[i].node != old.node) read->control_inputs.push_back(use.node->inputs[i].node);
  }
  use.node->inputs[use.operand] = read->output();
}

}  // namespace

void bind_ref_variables(ir::Graph& graph, const std::vector<ir::Node*>& roots) {
  const NodeSet run = needed_by(roots);
  std::unordered_map<const ir::Node*, std::vector<const ir::Node*>> changers;
  bool loops = false;
  for (const auto& node : graph.nodes()) {
    loops |= node->is("enter");
    if (!is_ref_op(*node)) continue;
    const ir::Node* variable = node->inputs.empty() ? nullptr : ref_source(node->inputs[0]);
    if (variable == nullptr) fail(ErrorCode::kInvalidModel, "{}: input 0 does not lead to a variable", node->describe());
    bind(*node, *variable);
    const bool runs = roots.empty() || run.contains(node.get());
    if (runs && !node->is("is_initialized_ref")) changers[variable].push_back(node.get());
  }
  if (changers.empty()) return mark_unread(graph);
  const auto after = nodes_after_changes(graph, changers);
  for (const ValueUse& use : value_uses(graph)) {
    if (!changers.contains(use.variable)) continue;
    const ir::Node* source = use.node->inputs[use.operand].node;
    const NodeSet& late = after.at(use.variable);
    const bool identity = use.node->is("identity") && use.node->inputs.size() == 1;
    const bool direct = source->is("ref_variable") || is_ref_op(*source);
    const bool stale = late.contains(use.node) && !late.contains(source);
    if (identity && (direct || stale)) {
      bind(*use.node, *use.variable);
      use.node->op = &op("read_ref_variable");
    } else if (stale && !loops) {
      insert_read(graph, use);
    }
  }
  mark_unread(graph);
}

const OpFamily& variables_family() {
  static const OpFamily family{"variables", kOps, kRules};
  return family;
}

}  // namespace tenon::ops
