// Values of variables: TensorFlow's checkpoint bundle (variables.index, variables.data-00000-of-0000N).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "savedmodel/model.h"
#include "tenon/tensor.h"

namespace tenon::saved {

// A box inside a tensor.
struct TensorSlice {
  struct Extent {
    std::int64_t start = 0;
    std::int64_t length = -1;  // -1: the whole dimension
    bool operator==(const Extent&) const = default;
  };
  std::vector<Extent> extents;  // one per dimension
  bool operator==(const TensorSlice&) const = default;
};

struct BundleEntry {
  std::string key;
  DataType dtype = DataType::kInvalid;
  Shape shape;  // of the whole tensor
  std::int32_t shard = 0;
  std::int64_t offset = 0;  // bytes, in its shard
  std::int64_t size = 0;    // bytes
  std::uint32_t masked_crc = 0;
  std::vector<TensorSlice> slices;  // when the tensor is stored in parts: then shard, offset, size mean nothing
};

// A checkpoint. Opening reads the index and maps the shards, whatever their size. Cheap to copy; reads are thread-safe.
class Bundle {
 public:
  // `prefix` is "<dir>/variables/variables". Throws kNotFound (index or shard missing), kInvalidModel (malformed index).
  static Bundle open(const std::filesystem::path& prefix);
  // From memory that `owner` keeps alive.
  static Bundle from_memory(std::string_view index, std::vector<std::string_view> shards, std::shared_ptr<const void> owner);

  // Sorted by key, parts of sliced tensors left out.
  const std::vector<BundleEntry>& entries() const noexcept;
  // nullptr when there is no such key.
  const BundleEntry* find(std::string_view key) const noexcept;

  // The tensor behind a key; sliced ones are put together. Plain data is borrowed from the mapped shard where its alignment
  // allows (element size, not 64 bytes), else copied. The first read of an entry verifies its checksum. Throws kNotFound,
  // kInvalidModel (outside its shard, wrong size, wrong checksum: the message names file and key), kUnsupported
  // (resources and variants).
  Tensor read(std::string_view key) const;
  // A part, as TF1 partitioned variables are restored: `spec` is RestoreV2's "full shape slice", such as "10 4 0,5:-"; an
  // empty one means everything.
  Tensor read(std::string_view key, std::string_view spec) const;

  // Reads everything that can be read and checks every checksum; throws like read().
  void verify() const;
  // Lazy verification is on at first; without it read() trusts the data.
  void set_verify_on_read(bool verify) noexcept;
  // Files of the bundle: the index first, then the shards. Empty for one from memory.
  std::vector<std::filesystem::path> files() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// What the restore graph of a model loads into one variable or table.
struct RestoreTarget {
  enum class Kind { kVariable, kTable };
  Kind kind = Kind::kVariable;
  std::string node;        // of the top graph: VarHandleOp, VariableV2, …, or the table's handle
  std::string key;         // bundle key of the variable, or of the table's keys
  std::string spec;        // RestoreV2's slice; empty for the whole tensor
  std::string values_key;  // of a table's values
};

struct RestorePlan {
  std::vector<RestoreTarget> targets;
  // Nodes of the restore graph that consume restored tensors in a way not understood; when there are any, running the
  // restore op itself is the way to load them.
  std::vector<std::string> unresolved;
};

// Derives what loads where from the graph behind the saver's restore op, without running it. Follows function calls (TF2),
// Assign, AssignVariableOp, LookupTableImportV2. Variables it does not reach are looked up in `bundle` (may be null) by
// shared name, then by node name.
RestorePlan plan_restore(const MetaGraph& meta_graph, const Bundle* bundle);

}  // namespace tenon::saved
