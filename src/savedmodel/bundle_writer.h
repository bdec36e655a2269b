// Writing checkpoint bundles.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "savedmodel/variables.h"
#include "tenon/tensor.h"

namespace tenon::saved {

struct BundleOptions {
  int shards = 1;
  bool compress_index = false;  // snappy
};

// Collects tensors, then writes "<prefix>.index" and "<prefix>.data-…"; the files must not exist. Data goes to disk as it is
// added.
class BundleWriter {
 public:
  explicit BundleWriter(const std::filesystem::path& prefix, BundleOptions options = {});
  ~BundleWriter();

  // A key stands once. Throws kInvalidArgument for a bad key or shard, kUnsupported for resources and variants, kIo.
  void add(std::string_view key, const Tensor& tensor, int shard = 0);
  // One part of a tensor of shape `full`; `slice` and `part.shape()` agree.
  void add_slice(std::string_view key, const Shape& full, const TensorSlice& slice, const Tensor& part, int shard = 0);
  // A tensor of zeros that takes no room on disk (a hole in the file). Plain dtypes only.
  void add_zeros(std::string_view key, DataType dtype, const Shape& shape, int shard = 0);
  // Writes the index. Must be called last.
  void finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace tenon::saved
