// What the subcommands share: options, output, exit codes.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tenon/session.h"
#include "tenon/tensor.h"

namespace tenon::cli {

using Json = nlohmann::ordered_json;

// Exit codes of every command.
inline constexpr int kDone = 0;
inline constexpr int kRefused = 1;  // bad input, or the command could not do it
inline constexpr int kUsage = 2;

// Options of every command.
struct Common {
  bool json = false;
  bool quiet = false;
};
void add_common(CLI::App& app, Common& common);

// Checks of numbers, as options take them; the help does not mention them.
CLI::Validator at_least(double least);
CLI::Validator above_zero();

// Which model, and which part of it.
struct ModelOptions {
  std::string path;
  std::string signature_key;
  std::string tags;  // comma-separated
  int threads = 0;
  bool native = false;
  bool no_build = false;
};
void add_model(CLI::App& app, ModelOptions& options);
SessionOptions session_options(const ModelOptions& options, const Common& common);

// "name=file.npy" or "name=file.npz:member" or "all.npz" arguments -> tensors.
std::map<std::string, Tensor> read_feeds(const std::vector<std::string>& arguments);
// "name:1x224x224x3,other:…" -> shapes. Throws kInvalidArgument.
std::map<std::string, std::vector<std::int64_t>> parse_shapes(const std::string& text);
// Values that stand in for real ones: floats in [-1, 1), small integers, …; unknown sizes are `batch` for dimension 0, else
// 1, unless `shapes` has the input. The same seed gives the same values.
std::map<std::string, Tensor> random_feeds(const std::vector<TensorSpec>& inputs,
                                           const std::map<std::string, std::vector<std::int64_t>>& shapes,
                                           std::int64_t batch, std::uint64_t seed);
std::vector<std::string> split(const std::string& text, char separator);
// Bytes that are no UTF-8 are replaced: names and messages may quote a hostile file.
std::string json_text(const Json& json);
std::string shape_text(const TensorSpec& spec);  // "[?,224,224,3]"

// Registers a subcommand; its body returns an exit code.
using Body = std::function<int()>;
void add_run(CLI::App& app, std::map<CLI::App*, Body>& bodies);
void add_bench(CLI::App& app, std::map<CLI::App*, Body>& bodies);
void add_compare(CLI::App& app, std::map<CLI::App*, Body>& bodies);
void add_inspect(CLI::App& app, std::map<CLI::App*, Body>& bodies);
void add_ops(CLI::App& app, std::map<CLI::App*, Body>& bodies);
void add_convert(CLI::App& app, std::map<CLI::App*, Body>& bodies);

}  // namespace tenon::cli
