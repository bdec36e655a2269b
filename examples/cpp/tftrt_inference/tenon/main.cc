// Opens a SavedModel, converted or not, runs one signature on synthetic data without TensorFlow, and says how fast it was.
// See README.md.
#include <tenon/npy.h>
#include <tenon/session.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "../latency.h"

namespace {

struct Options {
  std::string model_path;
  std::string signature_key = "serving_default";
  int batch_size = 64;
  int input_size = 128;
  int iterations = 10;
  int warmup = 1;
  std::string input_dir;
  std::string output_dir;
};

constexpr const char* kUsage =
    "usage: tftrt_inference --model_path=FOLDER [FLAG=VALUE]...\n"
    "  --model_path       folder of the SavedModel; needed\n"
    "  --signature_key    the signature to run (serving_default)\n"
    "  --batch_size       first size of inputs, where the model leaves it open (64)\n"
    "  --input_size       every other size that the model leaves open (128)\n"
    "  --iterations       calls that are timed (10)\n"
    "  --warmup           calls before (1)\n"
    "  --input_dir        folder of KEY.npy for each input of the signature; else all bytes are 1\n"
    "  --output_dir       folder to write KEY.npy into for each output of the signature\n";

struct BadFlag : std::runtime_error {
  using std::runtime_error::runtime_error;
};

int number(std::string_view name, std::string_view text, int least) {
  int value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || rest != text.data() + text.size() || value < least) {
    throw BadFlag("--" + std::string(name) + " must be a number of at least " + std::to_string(least));
  }
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  const std::map<std::string_view, std::string*> texts{{"model_path", &options.model_path},
                                                       {"signature_key", &options.signature_key},
                                                       {"input_dir", &options.input_dir},
                                                       {"output_dir", &options.output_dir}};
  const std::map<std::string_view, std::pair<int*, int>> numbers{{"batch_size", {&options.batch_size, 1}},
                                                                 {"input_size", {&options.input_size, 1}},
                                                                 {"iterations", {&options.iterations, 1}},
                                                                 {"warmup", {&options.warmup, 0}}};
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals).substr(argument.starts_with("--") ? 2 : 0);
    if (!argument.starts_with("--") || equals == std::string_view::npos ||
        !(texts.contains(name) || numbers.contains(name))) {
      throw BadFlag("unknown argument " + std::string(argument));
    }
    const std::string_view value = argument.substr(equals + 1);
    if (const auto text = texts.find(name); text != texts.end()) {
      *text->second = value;
    } else {
      const auto& [target, least] = numbers.at(name);
      *target = number(name, value, least);
    }
  }
  if (options.model_path.empty()) throw BadFlag("--model_path is missing");
  return options;
}

// A file name for a key: what means something in a path is replaced.
std::filesystem::path file_of(const std::string& folder, std::string key) {
  for (char& c : key) {
    if (c == '/' || c == ':' || c == '\0') c = '_';
  }
  return std::filesystem::path(folder) / (key + ".npy");
}

tenon::Tensor make_input(const Options& options, const tenon::TensorSpec& spec) {
  if (!options.input_dir.empty()) return tenon::read_npy(file_of(options.input_dir, spec.name));
  if (!spec.known_rank) {
    throw tenon::Error(tenon::ErrorCode::kInvalidArgument,
                       "the model leaves the rank of input \"" + spec.name + "\" open: give it by --input_dir");
  }
  std::vector<std::int64_t> sizes = spec.shape;
  for (std::size_t axis = 0; axis < sizes.size(); ++axis) {
    const int wanted = axis == 0 ? options.batch_size : options.input_size;
    if (axis == 0 && sizes[axis] >= 0 && sizes[axis] != wanted) {
      std::printf("input %s: the model fixes the batch to %lld\n", spec.name.c_str(), static_cast<long long>(sizes[axis]));
    }
    if (sizes[axis] < 0) sizes[axis] = wanted;
  }
  tenon::Tensor tensor(spec.dtype, tenon::Shape(sizes));
  if (spec.dtype == tenon::DataType::kString) {
    for (std::string& text : tensor.flat<std::string>()) text.assign(1, '1');
  } else if (spec.dtype == tenon::DataType::kResource || spec.dtype == tenon::DataType::kVariant) {
    throw tenon::Error(tenon::ErrorCode::kUnsupported, "input \"" + spec.name + "\" cannot be made up");
  } else if (tensor.byte_size() != 0) {
    std::memset(tensor.data(), 1, tensor.byte_size());
  }
  return tensor;
}

void run(const Options& options) {
  tenon::Session session = tenon::Session::open(options.model_path);
  std::map<std::string, tenon::Tensor> inputs;
  for (const tenon::TensorSpec& spec : session.inputs(options.signature_key)) {
    const tenon::Tensor& tensor = inputs[spec.name] = make_input(options, spec);
    std::printf("input %s: %s\n", spec.name.c_str(), tensor.describe().c_str());
  }

  std::map<std::string, tenon::Tensor> outputs;
  std::vector<double> milliseconds;
  for (int i = -options.warmup; i < options.iterations; ++i) {
    const auto start = std::chrono::steady_clock::now();
    outputs = session.run(inputs, options.signature_key);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    if (i >= 0) milliseconds.push_back(time.count());
  }
  const bool batched = !inputs.empty() && inputs.begin()->second.shape().rank() > 0;
  print_latency(milliseconds, batched ? inputs.begin()->second.shape().dims()[0] : 1);
  if (options.output_dir.empty()) return;
  std::filesystem::create_directories(options.output_dir);
  for (const auto& [key, tensor] : outputs) tenon::write_npy(file_of(options.output_dir, key), tensor);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) return std::printf("%s", kUsage), 0;
  try {
    run(parse(argc, argv));
    return 0;
  } catch (const BadFlag& error) {
    return std::fprintf(stderr, "%s\n%s", error.what(), kUsage), 2;
  } catch (const tenon::Error& error) {
    return std::fprintf(stderr, "%s: %s\n", tenon::error_code_name(error.code()), error.what()), 1;
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
}
