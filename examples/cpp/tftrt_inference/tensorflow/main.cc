// Loads a SavedModel that Tenon converted (or any other), runs one signature on synthetic data inside TensorFlow, and says
// how fast it was. See README.md.
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "../latency.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "npy.h"
#include "tensorflow/cc/saved_model/loader.h"
#include "tensorflow/core/platform/env.h"
#include "tensorflow/core/platform/init_main.h"
#include "tensorflow/core/public/session.h"
#include "tensorflow/core/util/command_line_flags.h"

namespace {

using tensorflow::SavedModelBundle;
using tensorflow::Tensor;
using tensorflow::TensorInfo;
using Infos = std::map<std::string, TensorInfo>;  // by the keys of a signature

struct Options {
  std::string model_path;
  std::string signature_key = "serving_default";
  int batch_size = 64;
  int input_size = 128;
  int iterations = 10;
  int warmup = 1;
  std::string plugin;
  std::string input_dir;
  std::string output_dir;
};

std::vector<tensorflow::Flag> flags_of(Options& options) {
  using tensorflow::Flag;
  return {
      Flag("model_path", &options.model_path, "folder of the SavedModel; needed"),
      Flag("signature_key", &options.signature_key, "the signature to run"),
      Flag("batch_size", &options.batch_size, "first size of inputs, where the model leaves it open"),
      Flag("input_size", &options.input_size, "every other size that the model leaves open"),
      Flag("iterations", &options.iterations, "calls that are timed"),
      Flag("warmup", &options.warmup, "calls before"),
      Flag("plugin", &options.plugin, "path of libtenon_tf.so, for models that Tenon or TF-TRT converted"),
      Flag("input_dir", &options.input_dir, "folder of KEY.npy for each input of the signature; else all bytes are 1"),
      Flag("output_dir", &options.output_dir, "folder to write KEY.npy into for each output of the signature"),
  };
}

// What is wrong with the options, empty if nothing is.
std::string complaint(const Options& options) {
  if (options.model_path.empty()) return "--model_path is missing";
  if (options.batch_size < 1) return "--batch_size must be at least 1";
  if (options.input_size < 1) return "--input_size must be at least 1";
  if (options.iterations < 1) return "--iterations must be at least 1";
  if (options.warmup < 0) return "--warmup must not be negative";
  return "";
}

absl::Status load_plugin(const std::string& path) {
  if (dlopen(path.c_str(), RTLD_NOW) != nullptr) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("--plugin: ", dlerror()));
}

absl::Status load_model(const Options& options, SavedModelBundle& bundle, Infos& inputs, Infos& outputs) {
  tensorflow::SessionOptions session;
  auto* optimizer = session.config.mutable_graph_options()->mutable_optimizer_options();
  optimizer->set_opt_level(tensorflow::OptimizerOptions::L0);
  optimizer->set_global_jit_level(tensorflow::OptimizerOptions::OFF);
  const absl::Status status = tensorflow::LoadSavedModel(session, {}, options.model_path, {"serve"}, &bundle);
  if (!status.ok()) {
    const bool unknown_op = absl::StrContains(status.message(), "Op type not registered") && options.plugin.empty();
    return unknown_op ? absl::Status(status.code(), absl::StrCat(status.message(), "\na converted model needs --plugin"))
                      : status;
  }
  const auto found = bundle.GetSignatures().find(options.signature_key);
  if (found == bundle.GetSignatures().end()) {
    std::map<std::string, int> keys;
    for (const auto& [key, signature] : bundle.GetSignatures()) keys[key];
    std::string message =
        absl::StrCat("--signature_key: the model has no signature \"", options.signature_key, "\"; it has:");
    for (const auto& [key, unused] : keys) absl::StrAppend(&message, " ", key);
    return absl::NotFoundError(message);
  }
  inputs = Infos(found->second.inputs().begin(), found->second.inputs().end());
  outputs = Infos(found->second.outputs().begin(), found->second.outputs().end());
  return absl::OkStatus();
}

// A file name for a key: what means something in a path is replaced.
std::string file_of(const std::string& folder, std::string key) {
  for (char& c : key) {
    if (c == '/' || c == ':' || c == '\0') c = '_';
  }
  return absl::StrCat(folder, "/", key, ".npy");
}

absl::StatusOr<Tensor> make_input(const Options& options, const std::string& key, const TensorInfo& info) {
  if (!options.input_dir.empty()) return read_npy(file_of(options.input_dir, key));
  if (info.tensor_shape().unknown_rank()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the model leaves the rank of input \"", key, "\" open: give it by --input_dir"));
  }
  tensorflow::TensorShape shape;
  for (int axis = 0; axis < info.tensor_shape().dim_size(); ++axis) {
    const std::int64_t size = info.tensor_shape().dim(axis).size();
    const std::int64_t wanted = axis == 0 ? options.batch_size : options.input_size;
    if (axis == 0 && size >= 0 && size != wanted)
      std::printf("input %s: the model fixes the batch to %lld\n", key.c_str(), static_cast<long long>(size));
    if (const absl::Status status = shape.AddDimWithStatus(size < 0 ? wanted : size); !status.ok()) return status;
  }
  Tensor tensor(info.dtype(), shape);
  if (tensorflow::DataTypeCanUseMemcpy(info.dtype())) {
    if (tensor.TotalBytes() != 0) std::memset(tensor.data(), 1, tensor.TotalBytes());
  } else if (info.dtype() == tensorflow::DT_STRING) {
    tensor.flat<tensorflow::tstring>().setConstant("1");
  } else {
    return absl::UnimplementedError(
        absl::StrCat("input \"", key, "\" is a ", tensorflow::DataTypeString(info.dtype()), ", which cannot be made up"));
  }
  return tensor;
}

absl::Status set_up_inputs(const Options& options, const Infos& infos, std::vector<std::pair<std::string, Tensor>>& inputs) {
  for (const auto& [key, info] : infos) {
    absl::StatusOr<Tensor> tensor = make_input(options, key, info);
    if (!tensor.ok()) return tensor.status();
    if (info.name().empty()) return absl::UnimplementedError(absl::StrCat("input \"", key, "\" is no dense tensor"));
    std::printf("input %s: %s %s\n", key.c_str(), tensorflow::DataTypeString(tensor->dtype()).c_str(),
                tensor->shape().DebugString().c_str());
    inputs.emplace_back(info.name(), *std::move(tensor));
  }
  return absl::OkStatus();
}

absl::Status write_outputs(const std::string& folder, const Infos& infos, const std::vector<Tensor>& outputs) {
  if (const absl::Status status = tensorflow::Env::Default()->RecursivelyCreateDir(folder); !status.ok()) return status;
  std::size_t next = 0;
  for (const auto& [key, info] : infos) {
    if (const absl::Status status = write_npy(file_of(folder, key), outputs[next++]); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status run(const Options& options) {
  if (!options.plugin.empty()) {
    if (const absl::Status status = load_plugin(options.plugin); !status.ok()) return status;
  }
  SavedModelBundle bundle;
  Infos input_infos, output_infos;
  if (const absl::Status status = load_model(options, bundle, input_infos, output_infos); !status.ok()) return status;
  std::vector<std::pair<std::string, Tensor>> inputs;
  if (const absl::Status status = set_up_inputs(options, input_infos, inputs); !status.ok()) return status;
  std::vector<std::string> output_names;
  for (const auto& [key, info] : output_infos) output_names.push_back(info.name());

  std::vector<Tensor> outputs;
  std::vector<double> milliseconds;
  for (int i = -options.warmup; i < options.iterations; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (const absl::Status status = bundle.session->Run(inputs, output_names, {}, &outputs); !status.ok()) return status;
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    if (i >= 0) milliseconds.push_back(time.count());
  }
  const bool batched = !inputs.empty() && inputs[0].second.dims() > 0;
  print_latency(milliseconds, batched ? inputs[0].second.dim_size(0) : 1);
  return options.output_dir.empty() ? absl::OkStatus() : write_outputs(options.output_dir, output_infos, outputs);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  const std::vector<tensorflow::Flag> flags = flags_of(options);
  const std::string usage = tensorflow::Flags::Usage(argv[0], flags);
  const auto refuse = [&](const std::string& message) {
    std::fprintf(stderr, "%s\n%s", message.c_str(), usage.c_str());
    return 2;
  };
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) return std::printf("%s", usage.c_str()), 0;
  if (!tensorflow::Flags::Parse(&argc, argv, flags)) return refuse("a flag has a bad value");
  tensorflow::port::InitMain(argv[0], &argc, &argv);
  if (argc > 1) return refuse(absl::StrCat("unknown argument ", argv[1]));
  if (const std::string message = complaint(options); !message.empty()) return refuse(message);
  const absl::Status status = run(options);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return 1;
}
