// tenon compare: runs two models on the same inputs and compares their outputs.
#include "tenon/compare.h"

#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "command.h"
#include "tenon/error.h"

namespace tenon::cli {
namespace {

struct CompareOptions {
  Common common;
  ModelOptions first;
  std::string second;
  std::vector<std::string> inputs;
  std::string shapes;
  std::int64_t batch = 1;
  std::uint64_t seed = 0;
  double tolerance = 1e-4;
};

int run(const CompareOptions& options) {
  Session a = Session::open(options.first.path, session_options(options.first, options.common));
  ModelOptions other = options.first;
  other.path = options.second;
  Session b = Session::open(options.second, session_options(other, options.common));
  std::map<std::string, Tensor> feeds = read_feeds(options.inputs);
  auto made = random_feeds(a.inputs(), parse_shapes(options.shapes), options.batch, options.seed);
  feeds.merge(made);
  const auto left = a.run(feeds);
  const auto right = b.run(feeds);
  Json json{{"outputs", Json::object()}};
  bool equal = true;
  for (const auto& [name, tensor] : left) {
    const auto it = right.find(name);
    if (it == right.end())
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{} has no output \"{}\"", options.second, name));
    const Difference difference = compare(tensor, it->second);
    const bool within = difference.comparable && difference.max_abs <= options.tolerance * std::max(difference.scale, 1e-30);
    equal &= within;
    json["outputs"][name] = {{"max_abs_error", difference.max_abs},
                             {"scale", difference.scale},
                             {"within", within},
                             {"problem", difference.problem}};
    if (!options.common.json && !options.common.quiet) {
      fmt::print("{}: {} max error {:.3g} of scale {:.3g}{}\n", name, within ? "equal within tolerance," : "DIFFERENT,",
                 difference.max_abs, difference.scale, difference.problem.empty() ? "" : "; " + difference.problem);
    }
  }
  json["equal"] = equal;
  if (options.common.json) fmt::print("{}\n", json_text(json));
  return equal ? kDone : kRefused;
}

}  // namespace

void add_compare(CLI::App& app, std::map<CLI::App*, Body>& bodies) {
  auto options = std::make_shared<CompareOptions>();
  CLI::App* command = app.add_subcommand("compare", "Run two models on the same inputs and compare the outputs");
  add_common(*command, options->common);
  add_model(*command, options->first);
  command->add_option("OTHER", options->second, "The model to compare with")->required()->type_name("");
  command
      ->add_option("--inputs", options->inputs,
                   "name=file.npy, name=file.npz[:array], or a .npz that holds all inputs; what is not given is made up")
      ->type_name("FEED");
  command->add_option("--batch", options->batch, "Size of unknown first dimensions")
      ->check(above_zero())
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--shapes", options->shapes, "Shapes of made-up inputs, name:1x224x224x3,…")->type_name("S");
  command->add_option("--seed", options->seed, "Seed of the made-up inputs")->type_name("N")->capture_default_str();
  command->add_option("--tolerance", options->tolerance, "Largest error allowed, as a share of the output's largest value")
      ->check(at_least(0))
      ->type_name("E")
      ->capture_default_str();
  bodies[command] = [options] { return run(*options); };
}

}  // namespace tenon::cli
