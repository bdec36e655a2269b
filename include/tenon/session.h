// Running models: open a SavedModel (converted or not) or a frozen graph, feed named tensors, get named tensors.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tenon/error.h"
#include "tenon/profile.h"
#include "tenon/tensor.h"

namespace tenon {

// One input or output of a signature.
struct TensorSpec {
  std::string name;
  std::string tensor_name;  // TensorFlow's, such as "serving_default_x:0"
  DataType dtype = DataType::kInvalid;
  bool known_rank = false;
  std::vector<std::int64_t> shape;  // -1: any size
};

struct SessionOptions {
  // Which meta graph: exactly these tags. Empty: the only one, else "serve".
  std::vector<std::string> tags;
  // What run() uses when it is not told: empty takes "serving_default", else the only signature.
  std::string signature_key;
  // Raw tensor names ("node", "node:1") to feed and fetch instead of a signature; for frozen graphs and models without
  // signatures. Empty for a frozen graph: its placeholders, and the tensors that nothing consumes.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  // Run every op natively, engines ignored.
  bool native = false;
  // Threads of the session's team, the caller's included; 0: as many as the process has CPUs.
  int threads = 0;
  // Whether an engine that does not fit this machine may be built again at open; otherwise its part runs natively. A node whose
  // "_allow_build_at_runtime" is false is never built.
  bool allow_build = true;
  // Receives one line per notable event (an engine rebuilt or ignored, and why). Empty: standard error.
  void (*log)(const std::string& line, void* context) = nullptr;
  void* log_context = nullptr;
};

// How an engine of the model is being served.
struct EngineStatus {
  std::string name;          // the node's
  std::string engine;        // the stored engine that it uses; nodes with equal parts share one
  bool loaded = false;       // false: its part runs natively
  bool rebuilt = false;      // built at open because the stored plan did not fit
  std::string reason;        // why it was rebuilt or is not loaded
  std::uint64_t calls = 0;   // by the engine
  std::uint64_t native_calls = 0;
  std::uint64_t weight_bytes = 0;      // of the engine: mapped from the model's file, or packed when it was loaded
  std::uint64_t activation_bytes = 0;  // activations and scratch of all runs at a time so far
};

// A model ready to run. Thread-safe: run() may be called from many threads; state such as variables and tables is shared by
// all signatures and calls of one session.
class Session {
 public:
  // Throws kNotFound, kInvalidModel, kIo, kUnsupported.
  static Session open(const std::string& path, const SessionOptions& options = {});
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Keys that can be called, in file order.
  std::vector<std::string> signature_keys() const;
  // Throws kNotFound for an unknown key; an empty key means the default signature.
  std::vector<TensorSpec> inputs(const std::string& signature_key = {}) const;
  std::vector<TensorSpec> outputs(const std::string& signature_key = {}) const;

  // Feeds by input name, returns by output name. `wanted` restricts the outputs (then only what they need is run); names that
  // are no outputs of the signature are taken as raw tensor names.
  // Throws kInvalidArgument (a feed missing, unknown, or of wrong dtype or shape), kUnsupported (a needed op is unknown).
  std::map<std::string, Tensor> run(const std::map<std::string, Tensor>& feeds, const std::string& signature_key = {},
                                    const std::vector<std::string>& wanted = {});
  // As run, with the time of every step, in order of execution.
  std::vector<ProfileEntry> profile(const std::map<std::string, Tensor>& feeds, const std::string& signature_key = {});

  // Runs and hands every tensor that the main graph computes, producers first, to `see` under its name ("node", "node:1");
  // what an engine computes inside is not seen, its results are, under the names that the original graph has for them.
  void trace(const std::map<std::string, Tensor>& feeds, const std::string& signature_key,
             const std::function<void(const std::string& tensor_name, const Tensor&)>& see);

  std::vector<EngineStatus> engines() const;
  int threads() const;

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace tenon
