#include "tfplugin/native_segment.h"

#include <algorithm>
#include <utility>

#include "tenon/error.h"
#include "tensorflow/core/framework/resource_mgr.h"
#include "tensorflow/core/framework/resource_var.h"
#include "tensorflow/core/framework/tensor_util.h"
#include "tensorflow/core/lib/strings/proto_serialization.h"
#include "tfplugin/tensors.h"

namespace tenon::tf {
namespace {

bool is_resource(const tensorflow::Tensor& tensor) {
  return tensor.dtype() == tensorflow::DT_RESOURCE && tensor.NumElements() == 1;
}

// The device that an input lies on; for a resource the one that holds it.
std::string device_of_input(tensorflow::OpKernelContext* context, int index, const std::string& device) {
  if (!is_resource(context->input(index))) return device;
  const tensorflow::ResourceHandle& handle = tensorflow::HandleFromInput(context, index);
  return handle.device().empty() ? device : handle.device();
}

// The variable's value now; invalid for other resources.
Tensor variable_value(tensorflow::OpKernelContext* context, int index) {
  tensorflow::core::RefCountPtr<tensorflow::Var> variable;
  if (!tensorflow::LookupResource(context, tensorflow::HandleFromInput(context, index), &variable).ok()) return {};
  tensorflow::tf_shared_lock lock(*variable->mu());
  if (!variable->is_initialized) return {};
  if (!tensorflow::DataTypeCanUseMemcpy(variable->tensor()->dtype())) return {};  // strings, and resources inside
  // Variables that are written row by row do not allow others to share their memory.
  if (variable->copy_on_read_mode.load()) return borrow(tensorflow::tensor::DeepCopy(*variable->tensor()));
  return borrow(*variable->tensor());
}

// Grappler numbers sizes that it knows to be equal -2, -3 and so on, which no file may hold.
void forget_symbols(tensorflow::TensorShapeProto& shape) {
  for (auto& dim : *shape.mutable_dim()) dim.set_size(std::max<std::int64_t>(dim.size(), -1));
}

void forget_symbols(tensorflow::FunctionDef& function) {
  for (tensorflow::NodeDef& node : *function.mutable_node_def()) {
    for (auto& [name, value] : *node.mutable_attr()) {
      if (value.has_shape()) forget_symbols(*value.mutable_shape());
      if (!value.has_list()) continue;
      for (tensorflow::TensorShapeProto& shape : *value.mutable_list()->mutable_shape()) forget_symbols(shape);
    }
  }
}

}  // namespace

NativeSegment::~NativeSegment() {
  for (const auto& [runtime, handle] : handles_) runtime->ReleaseHandle(handle).IgnoreError();
}

absl::Status NativeSegment::instantiate(tensorflow::OpKernelContext* context, Runtime::Handle* handle) {
  Runtime* runtime = context->function_library();
  if (runtime == nullptr) return absl::InternalError("the kernel has no function library");
  const std::lock_guard lock(mutex_);
  if (const auto it = handles_.find(runtime); it != handles_.end()) {
    *handle = it->second;
    return absl::OkStatus();
  }
  const std::string device = context->device()->name();
  Runtime::InstantiateOptions options;
  options.target = device;
  options.is_multi_device_function = true;  // ops that a device has no kernel for go where there is one
  options.allow_soft_placement = true;
  for (int i = 0; i < context->num_inputs(); ++i) options.input_devices.push_back(device_of_input(context, i, device));
  options.output_devices.assign(static_cast<std::size_t>(context->num_outputs()), device);
  const absl::Status status =
      runtime->Instantiate(function_.name(), tensorflow::AttrSlice(&function_.attr()), options, handle);
  if (status.ok()) handles_.emplace(runtime, *handle);
  return status;
}

void NativeSegment::run(tensorflow::OpKernelContext* context, Done done) {
  Runtime::Handle handle;
  if (const absl::Status status = instantiate(context, &handle); !status.ok()) return done(status, {});
  Runtime* runtime = context->function_library();
  Runtime::Options options;
  options.cancellation_manager = context->cancellation_manager();
  options.step_container = context->step_container();
  options.stats_collector = context->stats_collector();
  options.collective_executor = context->collective_executor();
  options.runner = context->runner();
  options.source_device = context->device()->name();
  std::vector<tensorflow::Tensor> inputs;
  inputs.reserve(static_cast<std::size_t>(context->num_inputs()));
  for (int i = 0; i < context->num_inputs(); ++i) inputs.push_back(context->input(i));
  auto* outputs = new std::vector<tensorflow::Tensor>;
  runtime->Run(options, handle, inputs, outputs, [outputs, done = std::move(done)](const absl::Status& status) {
    std::vector<tensorflow::Tensor> results = std::move(*outputs);
    delete outputs;
    done(status, std::move(results));
  });
}

SegmentFunction NativeSegment::source(tensorflow::OpKernelContext* context) const {
  if (context->function_library() == nullptr) {  // graph optimizers compute nodes without one
    throw Error(ErrorCode::kNotFound, "the kernel has no function library");
  }
  const tensorflow::FunctionLibraryDefinition* all = context->function_library()->GetFunctionLibraryDefinition();
  const tensorflow::FunctionDef* function = all->Find(function_.name());
  if (function == nullptr)
    throw Error(ErrorCode::kNotFound, "the native segment \"" + function_.name() + "\" is not in the model");
  tensorflow::FunctionDefLibrary library = all->ReachableDefinitions(*function).ToProto();
  auto& functions = *library.mutable_function();
  const auto name = [](const tensorflow::FunctionDef& one) -> const std::string& { return one.signature().name(); };
  if (std::none_of(functions.begin(), functions.end(), [&](const auto& one) { return name(one) == function_.name(); })) {
    *functions.Add() = *function;
  }
  for (tensorflow::FunctionDef& one : functions) forget_symbols(one);
  std::sort(functions.begin(), functions.end(), [&](const auto& a, const auto& b) { return name(a) < name(b); });
  SegmentFunction segment;
  segment.name = function_.name();
  if (!tensorflow::SerializeToStringDeterministic(library, &segment.library)) {
    throw Error(ErrorCode::kUnsupported, "the native segment \"" + function_.name() + "\" has more than 2 GB");
  }
  for (int i = 0; i < context->num_inputs(); ++i) {
    segment.constants.push_back(is_resource(context->input(i)) ? variable_value(context, i) : Tensor());
  }
  return segment;
}

}  // namespace tenon::tf
