#include "tenon/session.h"

#include <algorithm>
#include <mutex>
#include <set>

#include "api/engines.h"
#include "api/model_state.h"
#include "backend/shared_team.h"
#include "base/error.h"
#include "runtime/executor.h"
#include "runtime/resources.h"

namespace tenon {
namespace {

std::string join(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text.empty() ? "none" : text;
}

TensorSpec describe(const ir::Binding& binding) {
  TensorSpec spec{binding.key, binding.tensor_name, binding.type.dtype, binding.type.shape.known_rank(), {}};
  if (spec.known_rank) {
    for (Dim dim : binding.type.shape.dims()) spec.shape.push_back(dim.known() ? dim.size() : -1);
  }
  return spec;
}

std::vector<TensorSpec> describe(const std::vector<ir::Binding>& bindings) {
  std::vector<TensorSpec> specs;
  for (const ir::Binding& binding : bindings) specs.push_back(describe(binding));
  return specs;
}

std::string shape_text(const PartialShape& shape) {
  if (!shape.known_rank()) return "any shape";
  std::string text = "[";
  for (int i = 0; i < shape.rank(); ++i) text += (i ? "," : "") + (shape[i].known() ? std::to_string(shape[i].size()) : "?");
  return text + "]";
}

void check_feed(const ir::Binding& input, const Tensor& tensor) {
  if (!tensor.valid()) fail(ErrorCode::kInvalidArgument, "input \"{}\" was fed nothing", input.key);
  if (input.type.dtype != DataType::kInvalid && tensor.dtype() != input.type.dtype) {
    fail(ErrorCode::kInvalidArgument, "input \"{}\" must be {}, it was fed {}; convert it first", input.key,
         dtype_name(input.type.dtype), tensor.describe());
  }
  // The signature and the graph can each know more than the other.
  const PartialShape& in_graph = input.value.node->outputs[static_cast<std::size_t>(input.value.index)].shape;
  for (const PartialShape* shape : {&input.type.shape, &in_graph}) {
    if (!shape->admits(tensor.shape())) {
      fail(ErrorCode::kInvalidArgument, "input \"{}\" must have shape {}, it was fed {}", input.key, shape_text(*shape),
           tensor.shape().to_string());
    }
  }
}

}  // namespace

struct Session::State {
  // A signature (or part of its outputs) made ready to run.
  struct Entry {
    std::vector<const ir::Binding*> inputs;
    std::vector<std::string> output_names;
    std::unique_ptr<runtime::Executor> executor;
  };

  SessionOptions options;
  api::OpenModel model;
  std::shared_ptr<SharedTeam> team;
  std::unique_ptr<api::Engines> engines;
  std::unique_ptr<runtime::SessionServices> services;
  std::string default_key;
  std::mutex mutex;
  std::map<std::pair<std::string, std::vector<std::string>>, std::unique_ptr<Entry>> entries;

  State(const std::string& path, const SessionOptions& session_options)
      : options(session_options), model(path, options.tags, {{}, options.inputs, options.outputs}) {
    team = std::make_shared<SharedTeam>(options.threads);
    model.bind_assets();
    engines = std::make_unique<api::Engines>(model, team, options);
    const auto kernels = engines->lookup();
    services = std::make_unique<runtime::SessionServices>(
        model.module(), [this](const std::string& name) { return model.stored_variable(name); }, kernels);
    choose_default_key();
    if (model.module().init != nullptr) run_initializer(kernels);
  }

  // An initializer that needs an unknown op is left out: what depends on it fails when it is asked for.
  void run_initializer(const runtime::KernelLookup& kernels) {
    try {
      const runtime::Executor init(*model.module().main, {}, {}, {model.module().init}, kernels);
      init.run({}, *services, nullptr, nullptr);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnsupported) throw;
      engines->log("the model's initializer is not run: " + std::string(error.what()));
    }
  }

  void choose_default_key() {
    const auto& signatures = model.module().signatures;
    if (!options.signature_key.empty()) {
      find_signature(options.signature_key);
      default_key = options.signature_key;
    } else if (model.module().find_signature("serving_default") != nullptr) {
      default_key = "serving_default";
    } else if (signatures.size() == 1) {
      default_key = signatures[0].key;
    }
  }

  const ir::Signature& find_signature(const std::string& key) const {
    const std::string& wanted = key.empty() ? default_key : key;
    const ir::Signature* signature = wanted.empty() ? nullptr : model.module().find_signature(wanted);
    if (signature != nullptr) return *signature;
    std::vector<std::string> keys;
    for (const ir::Signature& known : model.module().signatures) keys.push_back(known.key);
    if (wanted.empty() && keys.empty()) {
      fail(ErrorCode::kNotFound, "the model has no signature; name the tensors to feed and fetch instead");
    }
    if (wanted.empty()) fail(ErrorCode::kNotFound, "the model has several signatures, name one of: {}", join(keys));
    fail(ErrorCode::kNotFound, "the model has no signature \"{}\"; it has: {}", wanted, join(keys));
  }

  Entry& entry(const std::string& key, const std::vector<std::string>& wanted) {
    const ir::Signature& signature = find_signature(key);
    const std::lock_guard lock(mutex);
    auto& slot = entries[{signature.key, wanted}];
    if (!slot) slot = make_entry(signature, wanted);
    return *slot;
  }

  std::unique_ptr<Entry> make_entry(const ir::Signature& signature, const std::vector<std::string>& wanted) const {
    auto made = std::make_unique<Entry>();
    std::vector<ir::Value> feeds;
    std::vector<ir::Value> fetches;
    for (const ir::Binding& input : signature.inputs) {
      if (!input.value) {
        fail(ErrorCode::kInvalidModel, "signature \"{}\": input \"{}\" is tensor \"{}\", which the graph does not have",
             signature.key, input.key, input.tensor_name);
      }
      made->inputs.push_back(&input);
      feeds.push_back(input.value);
    }
    const auto fetch = [&](const std::string& name, ir::Value value) {
      made->output_names.push_back(name);
      fetches.push_back(value);
    };
    if (wanted.empty()) {
      for (const ir::Binding& output : signature.outputs) fetch(output.key, value_of(signature, output));
    }
    for (const std::string& name : wanted) {
      const auto output = std::find_if(signature.outputs.begin(), signature.outputs.end(),
                                       [&](const ir::Binding& binding) { return binding.key == name; });
      fetch(name, output != signature.outputs.end() ? value_of(signature, *output) : importer::find_tensor(model.module(), name));
    }
    made->executor =
        std::make_unique<runtime::Executor>(*model.module().main, feeds, fetches, std::vector<ir::Node*>{}, engines->lookup());
    return made;
  }

  static ir::Value value_of(const ir::Signature& signature, const ir::Binding& output) {
    if (!output.value) {
      fail(ErrorCode::kInvalidModel, "signature \"{}\": output \"{}\" is tensor \"{}\", which the graph does not have",
           signature.key, output.key, output.tensor_name);
    }
    return output.value;
  }

  std::vector<Tensor> collect(const ir::Signature& signature, const Entry& entry, const std::map<std::string, Tensor>& feeds) const {
    // Before what is missing: a misspelt name is the likeliest reason.
    for (const auto& [name, tensor] : feeds) {
      const bool known = std::any_of(entry.inputs.begin(), entry.inputs.end(),
                                     [&name = name](const ir::Binding* b) { return b->key == name; });
      if (!known) {
        std::vector<std::string> names;
        for (const ir::Binding* input : entry.inputs) names.push_back(input->key);
        fail(ErrorCode::kInvalidArgument, "signature \"{}\" has no input \"{}\"; it has: {}", signature.key, name, join(names));
      }
    }
    std::vector<Tensor> fed;
    for (const ir::Binding* input : entry.inputs) {
      auto it = feeds.find(input->key);
      if (it == feeds.end()) {
        it = signature.defaults.find(input->key);
        if (it == signature.defaults.end()) {
          fail(ErrorCode::kInvalidArgument, "input \"{}\" ({} {}) of signature \"{}\" was not fed", input->key,
               dtype_name(input->type.dtype), shape_text(input->type.shape), signature.key);
        }
      }
      check_feed(*input, it->second);
      fed.push_back(it->second);
    }
    return fed;
  }

  std::map<std::string, Tensor> run(const std::map<std::string, Tensor>& feeds, const std::string& key,
                                    const std::vector<std::string>& wanted, const runtime::NodeObserver* observer) {
    Entry& ready = entry(key, wanted);
    std::vector<Tensor> results = ready.executor->run(collect(find_signature(key), ready, feeds), *services, nullptr, observer);
    std::map<std::string, Tensor> named;
    for (std::size_t i = 0; i < results.size(); ++i) {
      // What is handed out is the caller's alone: neither a feed, a constant nor a variable changes with it.
      if (!results[i].sole_owner()) results[i] = results[i].clone();
      named.emplace(ready.output_names[i], std::move(results[i]));
    }
    return named;
  }
};

Session::Session(std::unique_ptr<State> state) : state_(std::move(state)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Session Session::open(const std::string& path, const SessionOptions& options) {
  return Session(std::make_unique<State>(path, options));
}

std::vector<std::string> Session::signature_keys() const {
  std::vector<std::string> keys;
  for (const ir::Signature& signature : state_->model.module().signatures) keys.push_back(signature.key);
  return keys;
}

std::vector<TensorSpec> Session::inputs(const std::string& signature_key) const {
  return describe(state_->find_signature(signature_key).inputs);
}

std::vector<TensorSpec> Session::outputs(const std::string& signature_key) const {
  return describe(state_->find_signature(signature_key).outputs);
}

std::map<std::string, Tensor> Session::run(const std::map<std::string, Tensor>& feeds, const std::string& signature_key,
                                           const std::vector<std::string>& wanted) {
  return state_->run(feeds, signature_key, wanted, nullptr);
}

std::vector<ProfileEntry> Session::profile(const std::map<std::string, Tensor>& feeds, const std::string& signature_key) {
  return state_->engines->profile(
      [&](const runtime::NodeObserver& observer) { state_->run(feeds, signature_key, {}, &observer); });
}

void Session::trace(const std::map<std::string, Tensor>& feeds, const std::string& signature_key,
                    const std::function<void(const std::string& tensor_name, const Tensor&)>& see) {
  const runtime::NodeObserver observer = [&](const ir::Node& node, std::span<const Tensor> outputs, double) {
    const std::vector<std::string> names = state_->engines->source_names(node);
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::string own = i == 0 ? node.name : node.name + ":" + std::to_string(i);
      if (outputs[i].valid()) see(i < names.size() ? names[i] : own, outputs[i]);
    }
  };
  state_->run(feeds, signature_key, {}, &observer);
}

std::vector<EngineStatus> Session::engines() const { return state_->engines->status(); }
int Session::threads() const { return state_->team->size(); }

}  // namespace tenon
