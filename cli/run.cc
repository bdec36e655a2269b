// tenon run: feeds a model and writes or prints its outputs.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "command.h"
#include "tenon/error.h"
#include "tenon/npy.h"

namespace tenon::cli {
namespace {

struct RunOptions {
  Common common;
  ModelOptions model;
  std::vector<std::string> inputs;
  std::string outputs;
  std::string output_dir;
  std::string shapes;
  bool random = false;
  std::uint64_t seed = 0;
  std::int64_t batch = 1;
};

template <class T>
std::string element_text(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return fmt::format("{}", static_cast<float>(value));
  } else if constexpr (std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>) {
    return fmt::format("{}{:+}j", value.real(), value.imag());
  } else if constexpr (std::is_same_v<T, std::string>) {
    return Json(value).dump(-1, ' ', true, Json::error_handler_t::replace);
  } else {
    return fmt::format("{}", value);
  }
}

template <class T>
std::string some_elements(const Tensor& tensor) {
  constexpr std::size_t kShown = 8;
  const auto values = tensor.flat<T>();
  std::string text;
  for (std::size_t i = 0; i < std::min(values.size(), kShown); ++i) text += (i ? " " : "") + element_text<T>(values[i]);
  return values.size() > kShown ? text + " …" : text;
}

std::string preview(const Tensor& tensor) {
  switch (storage_dtype(tensor.dtype())) {
#define TENON_PREVIEW(name, type) \
  case DataType::name:            \
    return some_elements<type>(tensor);
    TENON_PREVIEW(kFloat32, float)
    TENON_PREVIEW(kFloat64, double)
    TENON_PREVIEW(kFloat16, Half)
    TENON_PREVIEW(kBFloat16, BFloat16)
    TENON_PREVIEW(kInt8, std::int8_t)
    TENON_PREVIEW(kInt16, std::int16_t)
    TENON_PREVIEW(kInt32, std::int32_t)
    TENON_PREVIEW(kInt64, std::int64_t)
    TENON_PREVIEW(kUInt8, std::uint8_t)
    TENON_PREVIEW(kUInt16, std::uint16_t)
    TENON_PREVIEW(kUInt32, std::uint32_t)
    TENON_PREVIEW(kUInt64, std::uint64_t)
    TENON_PREVIEW(kBool, bool)
    TENON_PREVIEW(kString, std::string)
    TENON_PREVIEW(kComplex64, std::complex<float>)
    TENON_PREVIEW(kComplex128, std::complex<double>)
#undef TENON_PREVIEW
    default:
      return "";
  }
}

// A file name for an output: characters that a path gives a meaning to are replaced.
std::string file_name(const std::string& output) {
  std::string name = output;
  for (char& c : name) {
    if (c == '/' || c == ':' || c == '\0') c = '_';
  }
  return name + ".npy";
}

int run(const RunOptions& options) {
  SessionOptions session = session_options(options.model, options.common);
  std::map<std::string, Tensor> feeds = read_feeds(options.inputs);
  const std::vector<std::string> wanted = split(options.outputs, ',');
  std::unique_ptr<Session> opened;
  std::vector<std::string> outputs = wanted;
  try {
    opened = std::make_unique<Session>(Session::open(options.model.path, session));
    if (options.model.signature_key.empty()) opened->inputs();
  } catch (const Error& error) {
    // Without a signature the names given are tensors of the graph.
    if (error.code() != ErrorCode::kNotFound || wanted.empty()) throw;
    opened = nullptr;
  }
  const bool raw = !opened || std::any_of(feeds.begin(), feeds.end(), [&](const auto& feed) {
    const auto specs = opened->inputs();
    return std::none_of(specs.begin(), specs.end(), [&](const TensorSpec& spec) { return spec.name == feed.first; });
  });
  if (raw && !wanted.empty() && options.model.signature_key.empty()) {
    for (const auto& [name, tensor] : feeds) session.inputs.push_back(name);
    session.outputs = wanted;
    opened = std::make_unique<Session>(Session::open(options.model.path, session));
    outputs.clear();
  }
  if (options.random) {
    auto made = random_feeds(opened->inputs(), parse_shapes(options.shapes), options.batch, options.seed);
    feeds.merge(made);
  }
  const std::map<std::string, Tensor> results = opened->run(feeds, {}, outputs);
  if (!options.output_dir.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.output_dir, error);
    if (error)
      throw Error(ErrorCode::kIo, fmt::format("the folder {} cannot be made: {}", options.output_dir, error.message()));
    for (const auto& [name, tensor] : results)
      write_npy((std::filesystem::path(options.output_dir) / file_name(name)).string(), tensor);
  }
  Json json;
  for (const auto& [name, tensor] : results) {
    if (options.common.json) {
      Json entry{{"dtype", dtype_name(tensor.dtype())}, {"shape", tensor.shape().dims()}};
      if (!options.output_dir.empty())
        entry["file"] = (std::filesystem::path(options.output_dir) / file_name(name)).string();
      entry["preview"] = preview(tensor);
      json["outputs"][name] = std::move(entry);
    } else if (!options.common.quiet || options.output_dir.empty()) {
      fmt::print("{}: {}{}  {}\n", name, dtype_name(tensor.dtype()), tensor.shape().to_string(), preview(tensor));
    }
  }
  if (options.common.json) fmt::print("{}\n", json_text(json));
  return kDone;
}

}  // namespace

void add_run(CLI::App& app, std::map<CLI::App*, Body>& bodies) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command = app.add_subcommand("run", "Run a model on .npy or .npz inputs");
  add_common(*command, options->common);
  add_model(*command, options->model);
  command
      ->add_option("--inputs", options->inputs,
                   "name=file.npy, name=file.npz[:array], or a .npz that holds all inputs; several may follow;\n"
                   "with --outputs the names may be tensors (node, node:1)")
      ->type_name("FEED");
  command
      ->add_option("--outputs", options->outputs,
                   "Outputs or tensors (node, node:1) to compute, comma-separated (default: all outputs)")
      ->type_name("NAMES");
  command->add_option("--output-dir", options->output_dir, "Write each output as NAME.npy into this folder")
      ->type_name("DIR");
  command->add_flag("--random-inputs", options->random, "Make up the inputs that are not given");
  command->add_option("--seed", options->seed, "Seed of the random inputs")->type_name("N")->capture_default_str();
  command->add_option("--shapes", options->shapes, "Shapes of random inputs, name:1x224x224x3,…")->type_name("S");
  command->add_option("--batch", options->batch, "Size of unknown first dimensions of random inputs")
      ->check(at_least(0))
      ->type_name("N")
      ->capture_default_str();
  bodies[command] = [options] { return run(*options); };
}

}  // namespace tenon::cli
