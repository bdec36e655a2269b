// NumPy's .npy files as TensorFlow's tensors: booleans, numbers, and texts ("S" arrays).
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tensorflow/core/framework/tensor.h"

absl::StatusOr<tensorflow::Tensor> read_npy(const std::string& path);
absl::Status write_npy(const std::string& path, const tensorflow::Tensor& tensor);
