#include "command.h"

#include <fmt/format.h>

#include <charconv>
#include <functional>

#include "tenon/error.h"
#include "tenon/npy.h"
#include "tenon/random_inputs.h"

namespace tenon::cli {
namespace {

void discard(const std::string&, void*) {}

std::int64_t parse_size(const std::string& digits, const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size() || value < 0) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("\"{}\" is not a shape; write name:1x224x224x3,other:1x10", text));
  }
  return value;
}

CLI::Validator number_check(std::function<bool(double)> good, const std::string& wanted) {
  return CLI::Validator(
      [good = std::move(good), wanted](std::string& text) {
        double value = 0;
        return CLI::detail::lexical_cast(text, value) && good(value) ? std::string()
                                                                     : fmt::format("wanted {}, found \"{}\"", wanted, text);
      },
      "");
}

}  // namespace

CLI::Validator at_least(double least) {
  return number_check([least](double value) { return value >= least; }, fmt::format("{} or more", least));
}

CLI::Validator above_zero() {
  return number_check([](double value) { return value > 0; }, "more than 0");
}

void add_common(CLI::App& app, Common& common) {
  app.add_flag("--json", common.json, "Print the result as JSON on standard output");
  app.add_flag("--quiet", common.quiet, "Print only the result and errors");
}

void add_model(CLI::App& app, ModelOptions& options) {
  app.add_option("MODEL", options.path, "SavedModel folder, converted or not, or frozen graph (.pb, .pbtxt)")
      ->required()
      ->type_name("");
  app.add_option("--signature-key", options.signature_key, "Signature to run (default: serving_default, else the only one)")
      ->type_name("KEY");
  app.add_option("--tags", options.tags, "Tags of the meta graph, comma-separated (default: the only one, else serve)")
      ->type_name("TAGS");
  app.add_option("--threads", options.threads, "Threads (default: the CPUs of this process)")
      ->check(at_least(0))
      ->type_name("N");
  app.add_flag("--native", options.native, "Run every op natively, engines ignored");
  app.add_flag("--no-build", options.no_build,
               "Run natively what engines that do not fit here hold, instead of building them again");
}

SessionOptions session_options(const ModelOptions& options, const Common& common) {
  SessionOptions result;
  if (!options.tags.empty()) result.tags = split(options.tags, ',');
  result.signature_key = options.signature_key;
  result.threads = options.threads;
  result.native = options.native;
  result.allow_build = !options.no_build;
  if (common.quiet) result.log = discard;
  return result;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  while (start <= text.size()) {
    const std::size_t end = std::min(text.find(separator, start), text.size());
    if (end > start) parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

std::map<std::string, Tensor> read_feeds(const std::vector<std::string>& arguments) {
  std::map<std::string, Tensor> feeds;
  for (const std::string& argument : arguments) {
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos) {
      if (!argument.ends_with(".npz")) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("\"{}\": write name=file.npy, or a .npz that holds all inputs", argument));
      }
      feeds.merge(read_npz(argument));
      continue;
    }
    const std::string name = argument.substr(0, equals);
    const std::string file = argument.substr(equals + 1);
    const std::size_t npz = file.rfind(".npz");
    if (npz == std::string::npos) {
      feeds[name] = read_npy(file);
      continue;
    }
    std::map<std::string, Tensor> members = read_npz(file.substr(0, npz + 4));
    const std::string member = file.size() > npz + 5 ? file.substr(npz + 5) : name;
    auto it = members.find(member);
    if (it == members.end() && members.size() == 1) it = members.begin();
    if (it == members.end()) {
      throw Error(ErrorCode::kNotFound, fmt::format("{} has no array \"{}\"; write {}={}:ARRAY", file, member, name, file));
    }
    feeds[name] = it->second;
  }
  return feeds;
}

std::map<std::string, std::vector<std::int64_t>> parse_shapes(const std::string& text) {
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const std::string& part : split(text, ',')) {
    const std::size_t colon = part.rfind(':');
    if (colon == std::string::npos || colon == 0) parse_size("", text);
    std::vector<std::int64_t>& dims = shapes[part.substr(0, colon)];
    for (const std::string& digits : split(part.substr(colon + 1), 'x')) dims.push_back(parse_size(digits, text));
  }
  return shapes;
}

std::map<std::string, Tensor> random_feeds(const std::vector<TensorSpec>& inputs,
                                           const std::map<std::string, std::vector<std::int64_t>>& shapes,
                                           std::int64_t batch, std::uint64_t seed) {
  std::map<std::string, Tensor> feeds;
  for (const TensorSpec& input : inputs) {
    std::vector<std::int64_t> dims;
    if (const auto given = shapes.find(input.name); given != shapes.end()) {
      dims = given->second;
    } else if (input.known_rank) {
      for (std::size_t i = 0; i < input.shape.size(); ++i) {
        dims.push_back(input.shape[i] >= 0 ? input.shape[i] : (i == 0 ? batch : 1));
      }
    } else {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("the shape of input \"{}\" is not known; give one with --shapes {}:…", input.name, input.name));
    }
    feeds.emplace(input.name, random_tensor(input.dtype, Shape(dims), seed ^ std::hash<std::string>()(input.name)));
  }
  return feeds;
}

std::string json_text(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace); }

std::string shape_text(const TensorSpec& spec) {
  if (!spec.known_rank) return "unknown_rank";
  std::string text = "[";
  for (std::size_t i = 0; i < spec.shape.size(); ++i) {
    text += (i ? "," : "") + (spec.shape[i] < 0 ? std::string("?") : std::to_string(spec.shape[i]));
  }
  return text + "]";
}

}  // namespace tenon::cli
