// Packed weights: made while compiling, found in the plan when loading.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "backends/cpu/arena.h"
#include "backends/cpu/lowering/lowering.h"
#include "plan/blob.h"

namespace tenon::cpu {

// Packed weights that live in memory of their own.
class OwnWeights : public WeightSource {
 public:
  const void* packed_when_loaded(ir::Value value, const std::string& layout, std::size_t size,
                                 const std::function<void(const Tensor&, void*)>& pack) override;
  // Bytes of what packed_when_loaded made.
  std::size_t own_bytes() const noexcept { return own_bytes_; }

 private:
  std::map<std::string, std::unique_ptr<Arena>> own_;
  std::size_t own_bytes_ = 0;
};

// Packs constants of the graph that is being compiled.
class WeightPacker : public OwnWeights {
 public:
  bool is_constant(ir::Value value) const override;
  const Tensor* constant(ir::Value value) const override;
  const void* packed(ir::Value value, const std::string& layout, std::size_t size,
                     const std::function<void(const Tensor&, void*)>& pack) override;
  // Puts the packed weights into the blob; returns the table of where they are.
  std::string store(plan::BlobWriter& blob) const;

 private:
  mutable std::map<const ir::Node*, Tensor> constants_;
  std::map<std::string, Tensor> packed_;
};

// Packed weights of a plan, used where they lie.
class StoredWeights : public OwnWeights {
 public:
  // Throws kIncompatiblePlan for a table that WeightPacker::store did not write.
  StoredWeights(std::string_view table, std::string_view blob);
  bool is_constant(ir::Value value) const override;
  const Tensor* constant(ir::Value value) const override;
  const void* packed(ir::Value value, const std::string& layout, std::size_t size,
                     const std::function<void(const Tensor&, void*)>& pack) override;

 private:
  mutable std::map<const ir::Node*, Tensor> constants_;
  std::map<std::string, std::string_view> packed_;
};

}  // namespace tenon::cpu
