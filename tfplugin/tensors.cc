#include "tfplugin/tensors.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "tenon/error.h"
#include "tensorflow/core/framework/tensor_util.h"

namespace tenon::tf {
namespace {

DataType dtype_of(const tensorflow::Tensor& tensor) { return static_cast<DataType>(static_cast<int>(tensor.dtype())); }

tensorflow::TensorShape shape_of(std::span<const std::int64_t> dims) {
  tensorflow::TensorShape shape;
  const absl::Status status =
      tensorflow::TensorShape::BuildTensorShape(absl::MakeConstSpan(dims.data(), dims.size()), &shape);
  if (!status.ok()) throw Error(ErrorCode::kInternal, "the engine's result has no shape: " + std::string(status.message()));
  return shape;
}

bool aligned(const void* data, DataType dtype) {
  const std::size_t size = dtype_size(dtype);
  return size == 0 || reinterpret_cast<std::uintptr_t>(data) % size == 0;
}

}  // namespace

InputViews::InputViews(tensorflow::OpKernelContext* context, MemorySpace space) {
  const int count = context->num_inputs();
  int total_rank = 0;
  for (int i = 0; i < count; ++i) total_rank += context->input(i).dims();
  dims_.reserve(static_cast<std::size_t>(total_rank));
  views_.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const tensorflow::Tensor& tensor = context->input(i);
    TensorView view;
    view.dtype = dtype_of(tensor);
    const std::size_t start = dims_.size();
    for (int axis = 0; axis < tensor.dims(); ++axis) dims_.push_back(tensor.dim_size(axis));
    view.dims = {dims_.data() + start, dims_.size() - start};
    if (view.dtype != DataType::kResource) {
      view.data = tensor.data();
      if (context->input_memory_type(i) == tensorflow::DEVICE_MEMORY) view.space = space;
      if (view.space.kind == MemoryKind::kHost && !aligned(view.data, view.dtype)) {
        copies_.push_back(tensorflow::tensor::DeepCopy(tensor));
        view.data = copies_.back().data();
      }
    }
    views_.push_back(view);
  }
}

OutputTensors::OutputTensors(tensorflow::OpKernelContext* context)
    : context_(context),
      tensors_(static_cast<std::size_t>(context->num_outputs())),
      made_(static_cast<std::size_t>(context->num_outputs())) {}

void* OutputTensors::allocate(int index, DataType dtype, std::span<const std::int64_t> dims) {
  if (index < 0 || index >= context_->num_outputs())
    throw Error(ErrorCode::kInternal, "the engine has more results than the node");
  const tensorflow::DataType wanted = context_->expected_output_dtype(index);
  if (static_cast<int>(wanted) != static_cast<int>(dtype)) {
    throw Error(ErrorCode::kInternal, "result " + std::to_string(index) + ": the node has " +
                                          tensorflow::DataTypeString(wanted) + ", the engine " +
                                          std::string(dtype_name(dtype)));
  }
  tensorflow::AllocatorAttributes attributes;
  if (context_->output_memory_type(index) == tensorflow::HOST_MEMORY) attributes.set_on_host(true);
  tensorflow::Tensor& tensor = tensors_[static_cast<std::size_t>(index)];
  const absl::Status status = context_->allocate_temp(wanted, shape_of(dims), &tensor, attributes);
  if (!status.ok()) throw Error(ErrorCode::kOutOfMemory, std::string(status.message()));
  made_[static_cast<std::size_t>(index)] = true;
  return tensor.data();
}

bool OutputTensors::publish() {
  if (std::find(made_.begin(), made_.end(), false) != made_.end()) return false;
  for (std::size_t i = 0; i < tensors_.size(); ++i) context_->set_output(static_cast<int>(i), std::move(tensors_[i]));
  return true;
}

Tensor borrow(const tensorflow::Tensor& tensor) {
  const DataType dtype = dtype_of(tensor);
  if (dtype == DataType::kResource) return {};
  std::vector<std::int64_t> dims;
  for (int axis = 0; axis < tensor.dims(); ++axis) dims.push_back(tensor.dim_size(axis));
  const auto owner =
      std::make_shared<tensorflow::Tensor>(aligned(tensor.data(), dtype) ? tensor : tensorflow::tensor::DeepCopy(tensor));
  return Tensor::borrow(dtype, Shape(std::move(dims)), owner->data(), owner);
}

tensorflow::Tensor copy(const Tensor& tensor) {
  tensorflow::Tensor result(static_cast<tensorflow::DataType>(static_cast<int>(tensor.dtype())),
                            shape_of(tensor.shape().dims()));
  if (result.TotalBytes() != tensor.byte_size())
    throw Error(ErrorCode::kInternal, "a result's size differs; please report it");
  if (tensor.byte_size() != 0) std::memcpy(result.data(), tensor.data(), tensor.byte_size());
  return result;
}

}  // namespace tenon::tf
