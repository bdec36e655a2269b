#include "tfplugin/engine_node.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <utility>

#include "tfplugin/engine_file.h"
#include "tfplugin/environment.h"

namespace tenon::tf {
namespace {

// FNV-1a, 64 bits.
std::uint64_t hash(std::string_view bytes) {
  std::uint64_t value = 0xcbf29ce484222325u;
  for (const char byte : bytes) value = (value ^ static_cast<unsigned char>(byte)) * 0x100000001b3u;
  return value;
}

// What a call is refused for whoever computes it; anything else is the engine's own trouble.
bool is_callers_fault(ErrorCode code) {
  return code == ErrorCode::kInvalidArgument || code == ErrorCode::kUnsupported || code == ErrorCode::kCancelled;
}

bool holds_constants(const SegmentFunction& segment) {
  return std::ranges::any_of(segment.constants, [](const Tensor& tensor) { return tensor.valid(); });
}

// What decides which calls an engine serves.
std::string rules_of(const EngineAttributes& attributes) {
  std::string text;
  const auto add = [&](std::int64_t number) { text += std::to_string(number) + ' '; };
  add(static_cast<int>(attributes.mode));
  add(static_cast<int>(attributes.strategy));
  add(attributes.maximum_cached_engines);
  for (const DataType type : attributes.input_types) add(static_cast<int>(type));
  for (const DataType type : attributes.output_types) add(static_cast<int>(type));
  for (const ShapeSpec& shape : attributes.input_shapes) {
    add(shape.known_rank ? static_cast<std::int64_t>(shape.dims.size()) : -1);
    for (const std::int64_t size : shape.dims) add(size);
  }
  return text + attributes.precision;
}

}  // namespace

std::string identity_of(const EngineAttributes& attributes, const SegmentFunction& segment) {
  std::uint64_t value = hash(segment.library) * 31 + hash(rules_of(attributes));
  for (const Tensor& constant : segment.constants) {
    if (!constant.valid()) continue;
    value = value * 31 + hash({static_cast<const char*>(constant.data()), constant.byte_size()});
  }
  char text[20];
  std::snprintf(text, sizeof(text), ":%016" PRIx64, value);
  return attributes.name + text;
}

ShapeMode shape_mode(bool implicit_batch, const std::string& profile_strategy) {
  if (implicit_batch) return ShapeMode::kImplicitBatch;
  return profile_strategy.empty() ? ShapeMode::kAnyShape : ShapeMode::kProfiles;
}

EngineNode::EngineNode(NodeSettings settings) : settings_(std::move(settings)) {}

bool EngineNode::stays_native() const { return settings_.identity.empty() && !build_foreign_engines(); }

std::shared_ptr<EngineResource> EngineNode::resource(NodeHost& host) {
  const std::lock_guard lock(mutex_);
  if (resource_) return resource_;
  const bool foreign = settings_.identity.empty();
  const std::string identity = foreign ? identity_of(settings_.attributes, host.segment()) : settings_.identity;
  auto resource = EngineResource::get(identity, settings_.attributes);
  if (!foreign && !resource->has_engine()) {
    // Another copy of the same model may have named its file already: an engine that works is left alone.
    if (const auto held = find_held_file(identity)) {
      resource->set_stored(held->bytes(), held);
    } else if (const std::string file = host.engine_file(identity); !file.empty()) {
      resource->set_file(file);
    }
    if (!settings_.stored.empty() && !resource->has_engine()) resource->set_bytes(std::move(settings_.stored));
  }
  settings_.stored = {};
  if (settings_.collect_shapes == false) resource->collect_shapes(false);
  return resource_ = std::move(resource);
}

NodeAnswer EngineNode::natively(bool refusable, std::string reason) const {
  if (!settings_.has_native_segment) return {NodeAnswer::By::kNothing, std::move(reason)};
  const bool refused = refusable && !native_segments_allowed();
  return {refused ? NodeAnswer::By::kNothing : NodeAnswer::By::kNative, std::move(reason)};
}

NodeAnswer EngineNode::run(std::span<const TensorView> inputs, OutputAllocator& outputs, NodeHost& host) {
  if (stays_native()) return natively(true, "TF-TRT made it");
  try {
    const std::shared_ptr<EngineResource> resource = this->resource(host);
    if (settings_.collect_shapes == true) resource->collect_shapes(true);
    const std::function<SegmentFunction()> segment = [&host] { return host.segment(); };
    EngineCallOptions options;
    options.allow_build = settings_.allow_build;
    if (settings_.has_native_segment) options.segment = &segment;
    EngineCall call = resource->run(inputs, outputs, options);
    if (call.ran) return {};
    NodeAnswer answer = natively(call.native_refusable, std::move(call.reason));
    answer.notable = call.notable && !answer.reason.empty();
    return answer;
  } catch (const Error& error) {
    if (is_callers_fault(error.code())) throw;
    return natively(true, error.what());
  } catch (const std::exception& error) {
    return natively(true, error.what());
  } catch (...) {
    return natively(true, "an unknown exception");
  }
}

std::vector<Tensor> EngineNode::run_natively(std::span<const Tensor> inputs, NodeHost& host) {
  const std::shared_ptr<EngineResource> resource = this->resource(host);
  std::shared_ptr<const SegmentFunction> segment;
  {
    const std::lock_guard lock(mutex_);
    segment = native_;
  }
  if (!segment) {
    segment = std::make_shared<const SegmentFunction>(host.segment());
    if (!holds_constants(*segment)) {  // variables may have other values at the next call
      const std::lock_guard lock(mutex_);
      native_ = segment;
    }
  }
  return resource->run_natively(inputs, *segment);
}

}  // namespace tenon::tf
