// TensorFlow's tensors as Tenon's: views for engines, borrowed tensors for Tenon's executor, memory for results.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "tenon/tensor.h"
#include "tenon/tensor_view.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tenon::tf {

// The inputs of a call, as views: on TensorFlow's memory where it is aligned to its elements, else on a copy. Resources have
// no data.
class InputViews {
 public:
  // `space`: where inputs lie that are not in host memory.
  InputViews(tensorflow::OpKernelContext* context, MemorySpace space);
  std::span<const TensorView> views() const noexcept { return views_; }

 private:
  std::vector<TensorView> views_;
  std::vector<std::int64_t> dims_;  // of all views
  std::vector<tensorflow::Tensor> copies_;
};

// Makes results as TensorFlow's tensors; they become the kernel's outputs only when all is well.
class OutputTensors : public OutputAllocator {
 public:
  explicit OutputTensors(tensorflow::OpKernelContext* context);
  void* allocate(int index, DataType dtype, std::span<const std::int64_t> dims) override;
  // False, and nothing done, when one was never asked for.
  bool publish();

 private:
  tensorflow::OpKernelContext* const context_;
  std::vector<tensorflow::Tensor> tensors_;
  std::vector<bool> made_;
};

// The same elements; the result holds `tensor`'s buffer. Resources become invalid tensors.
Tensor borrow(const tensorflow::Tensor& tensor);
// A copy.
tensorflow::Tensor copy(const Tensor& tensor);

}  // namespace tenon::tf
