#include "backends/cpu/weights.h"

#include <cstring>

#include "backends/cpu/program.h"
#include "base/error.h"
#include "plan/bytes.h"

namespace tenon::cpu {
namespace {

std::string key_of(ir::Value value, const std::string& layout) { return value.node->name + " | " + layout; }

const Tensor* constant_of(std::map<const ir::Node*, Tensor>& cache, ir::Value value) {
  if (!value.node->is("const")) return nullptr;
  const auto [it, fresh] = cache.try_emplace(value.node);
  if (fresh) it->second = value.node->attr<Tensor>("value");
  return &it->second;
}

}  // namespace

const void* OwnWeights::packed_when_loaded(ir::Value value, const std::string& layout, std::size_t size,
                                           const std::function<void(const Tensor&, void*)>& pack) {
  const auto [it, fresh] = own_.try_emplace(key_of(value, layout));
  if (fresh) {
    const Tensor* tensor = constant(value);
    if (tensor == nullptr) fail(ErrorCode::kIncompatiblePlan, "plan: the weights of \"{}\" are missing; build the engine again", value.node->name);
    it->second = std::make_unique<Arena>();
    it->second->grow(size);
    pack(*tensor, it->second->data());
    own_bytes_ += size;
  }
  return it->second->data();
}

bool WeightPacker::is_constant(ir::Value value) const { return is_constant_node(*value.node); }

const Tensor* WeightPacker::constant(ir::Value value) const { return constant_of(constants_, value); }

const void* WeightPacker::packed(ir::Value value, const std::string& layout, std::size_t size,
                                 const std::function<void(const Tensor&, void*)>& pack) {
  const auto [it, fresh] = packed_.try_emplace(key_of(value, layout));
  if (fresh) {
    const Tensor* tensor = constant(value);
    TENON_CHECK(tensor != nullptr);
    it->second = Tensor(DataType::kUInt8, Shape{static_cast<std::int64_t>(size)});
    if (size > 0) std::memset(it->second.data(), 0, size);  // gaps too: they are written into the plan
    pack(*tensor, it->second.data());
  }
  return it->second.data();
}

std::string WeightPacker::store(plan::BlobWriter& blob) const {
  plan::ByteWriter table;
  table.count(packed_.size());
  for (const auto& [key, tensor] : packed_) {
    table.text(key);
    table.number(blob.add({static_cast<const char*>(tensor.data()), tensor.byte_size()}));
    table.number<std::uint64_t>(tensor.byte_size());
  }
  return table.take();
}

StoredWeights::StoredWeights(std::string_view table, std::string_view blob) {
  plan::ByteReader in(table);
  const std::size_t count = in.count(24);
  for (std::size_t i = 0; i < count; ++i) {
    std::string key = in.string();
    const auto offset = in.number<std::uint64_t>();
    const auto size = in.number<std::uint64_t>();
    if (offset % 64 != 0 || offset > blob.size() || size > blob.size() - offset) {
      fail(ErrorCode::kIncompatiblePlan, "plan: packed weights \"{}\" lie outside the file", key);
    }
    packed_[std::move(key)] = blob.substr(offset, size);
  }
  if (!in.at_end()) fail(ErrorCode::kIncompatiblePlan, "plan: bytes are left after the table of weights");
}

bool StoredWeights::is_constant(ir::Value value) const { return is_constant_node(*value.node); }

const Tensor* StoredWeights::constant(ir::Value value) const { return constant_of(constants_, value); }

const void* StoredWeights::packed(ir::Value value, const std::string& layout, std::size_t size,
                                  const std::function<void(const Tensor&, void*)>&) {
  const auto it = packed_.find(key_of(value, layout));
  if (it == packed_.end() || it->second.size() != size) {
    fail(ErrorCode::kIncompatiblePlan, "plan: the packed weights of \"{}\" ({}) are missing; build the engine again", value.node->name,
         layout);
  }
  return it->second.data();
}

}  // namespace tenon::cpu
