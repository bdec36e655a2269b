// One engine node, apart from TensorFlow and from any device: decides at each call whether its engine answers, the native
// segment does, or nobody may.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tenon/engine.h"

namespace tenon::tf {

// What the node's attributes say.
struct NodeSettings {
  // "<engine name>:<hash>", from _tenon_engine. Empty: TF-TRT itself made the node.
  std::string identity;
  EngineAttributes attributes;
  bool allow_build = true;
  // Whether calls only record their shapes; nothing: the node does not say, so that whoever else holds the engine decides.
  std::optional<bool> collect_shapes;
  std::string stored;              // bytes of a stored engine inside the node
  bool has_native_segment = true;  // false: it was taken out of the model
};

// What the node asks whoever runs it.
class NodeHost {
 public:
  virtual ~NodeHost() = default;
  // The file of this identity's stored engine, empty when there is none.
  virtual std::string engine_file(const std::string& identity) = 0;
  // What an engine is built from. Only called when the node has a native segment. Throws Error.
  virtual SegmentFunction segment() = 0;
};

struct NodeAnswer {
  enum class By {
    kEngine,   // the outputs are there
    kNative,   // the native segment has to compute them
    kNothing,  // the native segment must not run, or is gone
  };
  By by = By::kEngine;
  std::string reason;   // why not by the engine
  bool notable = true;  // as EngineCall's
};

// The message of calls that may not run natively, word for word TF-TRT's.
inline constexpr const char* kNativeRefused = "User disallowed engine native segment execution.";

// Thread-safe.
class EngineNode {
 public:
  explicit EngineNode(NodeSettings settings);

  // Computes the outputs by the engine if it can. Throws Error for what the native segment would refuse too.
  NodeAnswer run(std::span<const TensorView> inputs, OutputAllocator& outputs, NodeHost& host);

  // Computes the native segment on Tenon's executor. Throws Error.
  std::vector<Tensor> run_natively(std::span<const Tensor> inputs, NodeHost& host);

  // Of TF-TRT itself, and its engines are not to be built.
  bool stays_native() const;
  const NodeSettings& settings() const noexcept { return settings_; }

 private:
  std::shared_ptr<EngineResource> resource(NodeHost& host);
  NodeAnswer natively(bool refusable, std::string reason) const;

  NodeSettings settings_;  // `stored` goes to the resource, nothing else changes
  std::mutex mutex_;
  std::shared_ptr<EngineResource> resource_;       // from the first call that needs it on
  std::shared_ptr<const SegmentFunction> native_;  // that run_natively() used, if it holds no variables
};

// "<name>:<hash of the function, all that it calls, and the node's rules>", for nodes without an identity.
std::string identity_of(const EngineAttributes& attributes, const SegmentFunction& segment);

// Which shapes the node's engine serves, from its attributes.
ShapeMode shape_mode(bool implicit_batch, const std::string& profile_strategy);

}  // namespace tenon::tf
