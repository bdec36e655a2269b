// The native segment of an engine node: TensorFlow's own function, run by TensorFlow.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "tenon/engine.h"
#include "tensorflow/core/framework/attr_value.pb.h"
#include "tensorflow/core/framework/function.h"
#include "tensorflow/core/framework/op_kernel.h"

namespace tenon::tf {

// Thread-safe.
class NativeSegment {
 public:
  using Done = std::function<void(const absl::Status&, std::vector<tensorflow::Tensor>)>;

  explicit NativeSegment(tensorflow::NameAttrList function) : function_(std::move(function)) {}
  ~NativeSegment();
  NativeSegment(const NativeSegment&) = delete;
  NativeSegment& operator=(const NativeSegment&) = delete;

  bool exists() const { return !function_.name().empty(); }
  // Computes it on the kernel's inputs and calls `done`, on any thread. The first call on a function library makes the
  // kernels.
  void run(tensorflow::OpKernelContext* context, Done done);

  // The function and all that it reaches, with the values of the variables among the kernel's inputs. Throws Error.
  SegmentFunction source(tensorflow::OpKernelContext* context) const;

 private:
  using Runtime = tensorflow::FunctionLibraryRuntime;
  absl::Status instantiate(tensorflow::OpKernelContext* context, Runtime::Handle* handle);

  const tensorflow::NameAttrList function_;
  std::mutex mutex_;
  std::unordered_map<Runtime*, Runtime::Handle> handles_;
};

}  // namespace tenon::tf
