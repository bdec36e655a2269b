// tenon convert: a SavedModel in, a SavedModel with engines out.
#include "tenon/convert.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>

#include "command.h"
#include "tenon/error.h"

namespace tenon::cli {
namespace {

std::atomic<bool> interrupted{false};

struct ConvertArguments {
  Common common;
  std::string input, output, tags, denylist, shapes, min_shapes, max_shapes;
  ConvertOptions options;
};

// A bar with the time left on a terminal, plain lines otherwise, nothing when quiet.
class Progress {
 public:
  explicit Progress(bool quiet)
      : quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0), start_(std::chrono::steady_clock::now()) {}

  void operator()(std::string_view what, double done) {
    if (quiet_) return;
    if (!terminal_) {
      const std::string phase(what.substr(0, what.find(':')));
      if (phase != last_) std::fprintf(stderr, "%3.0f%% %s\n", done * 100, phase.c_str());
      last_ = phase;
      return;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const std::string left = done > 0.05 && done < 1 ? fmt::format("{:.0f} s left", seconds * (1 - done) / done) : "";
    const auto filled = static_cast<std::size_t>(done * 30);
    std::fprintf(stderr, "\r[%s%s] %3.0f%% %s  %.60s\033[K", std::string(filled, '#').c_str(),
                 std::string(30 - filled, '.').c_str(), done * 100, left.c_str(), std::string(what).c_str());
    if (done >= 1) std::fputc('\n', stderr);
  }

 private:
  bool quiet_;
  bool terminal_;
  std::string last_;
  std::chrono::steady_clock::time_point start_;
};

double share(double part, double whole) { return whole > 0 ? 100 * part / whole : 0; }

void print_report(const ConvertReport& report) {
  fmt::print("{:<22} {:>6} {:>8} {:>11} {:>11} {:>8}  {}\n", "engine", "nodes", "FLOPs", "native ms", "engine ms",
             "speed-up", "ops");
  for (const EngineReport& engine : report.engines) {
    std::string ops;
    for (const auto& [op, count] : engine.ops) {
      if (op != "Const" && op != "ReadVariableOp" && op != "Identity") ops += fmt::format("{} {}x ", op, count);
    }
    if (!engine.shared_with.empty()) ops += fmt::format("(the engine of {}, an equal part)", engine.shared_with);
    const std::string gain = engine.engine_ms > 0 ? fmt::format("{:.2f}x", engine.native_ms / engine.engine_ms) : "-";
    fmt::print("{:<22} {:>6} {:>7.1f}% {:>11.3f} {:>11.3f} {:>8}  {}\n", engine.name, engine.nodes,
               share(engine.flops, report.total_flops), engine.native_ms, engine.engine_ms, gain, ops);
  }
  fmt::print("{} engine(s) hold {} of {} nodes and {:.1f}% of FLOPs\n", report.engines.size(), report.converted_nodes,
             report.converted_nodes + report.native_nodes, share(report.engine_flops, report.total_flops));
  if (report.converted_ms > 0) {
    fmt::print("the whole model: {:.3f} ms natively, {:.3f} ms converted ({:.2f}x), {:.1f}% of that in engines\n",
               report.native_ms, report.converted_ms, report.native_ms / report.converted_ms,
               100 * report.engine_time_share);
  }
  constexpr std::size_t kShown = 20;
  for (std::size_t i = 0; i < std::min(kShown, report.native.size()); ++i) {
    const NativeReport& entry = report.native[i];
    fmt::print("native: {} {}x ({}{}): {}\n", entry.op_type, entry.nodes.size(), entry.nodes[0],
               entry.nodes.size() > 1 ? ", …" : "", entry.reason);
  }
  if (report.native.size() > kShown)
    fmt::print("native: … and {} more kinds; --report has them all\n", report.native.size() - kShown);
  for (const std::string& note : report.notes) fmt::print("note: {}\n", note);
  for (const OutputError& error : report.verification) {
    fmt::print("verified {}/{}: max error {:.3g} of scale {:.3g}{}{}\n", error.signature, error.output, error.max_abs_error,
               error.scale, error.problem.empty() ? "" : "; " + error.problem,
               error.first_node.empty() ? "" : "; first differs at " + error.first_node);
  }
  fmt::print("done in {:.1f} s\n", report.seconds);
}

// The command that repeats the conversion: what differs from the defaults.
std::string command_line(const ConvertArguments& arguments) {
  const ConvertOptions& options = arguments.options;
  const ConvertOptions defaults;
  std::string line = "tenon convert";
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) line += fmt::format(" {} '{}'", name, value);
  };
  add("--saved-model-dir", arguments.input);
  add("--output-dir", arguments.output);
  for (const std::string& key : options.signature_keys) add("--signature-key", key);
  add("--tags", arguments.tags);
  if (options.precision != defaults.precision) add("--precision", options.precision);
  line += fmt::format(" --minimum-segment-size {}", options.minimum_segment_size);
  add("--op-denylist", arguments.denylist);
  add("--shapes", arguments.shapes);
  add("--min-shapes", arguments.min_shapes);
  add("--max-shapes", arguments.max_shapes);
  if (options.min_gain != defaults.min_gain) line += fmt::format(" --min-gain {}", options.min_gain);
  if (options.threads != defaults.threads) line += fmt::format(" --threads {}", options.threads);
  add("--timing-cache", options.timing_cache);
  add("--report", options.report);
  if (options.verify) line += " --verify";
  if (options.force) line += " --force";
  return line;
}

int run(ConvertArguments& arguments) {
  ConvertOptions options = arguments.options;
  options.tags = split(arguments.tags, ',');
  options.op_denylist = split(arguments.denylist, ',');
  options.shapes = parse_shapes(arguments.shapes);
  options.min_shapes = parse_shapes(arguments.min_shapes);
  options.max_shapes = parse_shapes(arguments.max_shapes);
  Progress progress(arguments.common.quiet || arguments.common.json);
  options.progress = [&](std::string_view what, double done) { progress(what, done); };
  options.cancel = &interrupted;
  std::signal(SIGINT, [](int) { interrupted.store(true); });
  std::signal(SIGTERM, [](int) { interrupted.store(true); });
  try {
    const ConvertReport report = convert(arguments.input, arguments.output, options);
    if (arguments.common.json) {
      fmt::print("{}\n", report.to_json());
    } else if (!arguments.common.quiet) {
      print_report(report);
    }
  } catch (const Error&) {
    const std::string again = command_line(arguments);
    if (!arguments.common.quiet) std::fprintf(stderr, "to repeat: %s\n", again.c_str());
    throw;
  }
  return kDone;
}

}  // namespace

void add_convert(CLI::App& app, std::map<CLI::App*, Body>& bodies) {
  auto arguments = std::make_shared<ConvertArguments>();
  ConvertOptions& options = arguments->options;
  CLI::App* command =
      app.add_subcommand("convert", "Convert a SavedModel: find what runs faster in engines, build them, write the result");
  add_common(*command, arguments->common);
  command->add_option("--saved-model-dir", arguments->input, "The SavedModel to convert")->required()->type_name("DIR");
  command->add_option("--output-dir", arguments->output, "Where the converted SavedModel is written")
      ->required()
      ->type_name("DIR");
  command
      ->add_option("--signature-key", options.signature_keys,
                   "Signature to convert and keep; may be repeated (default: all)")
      ->take_all()
      ->allow_extra_args(false)
      ->type_name("KEY");
  command
      ->add_option("--tags", arguments->tags, "Tags of the meta graph, comma-separated (default: the only one, else serve)")
      ->type_name("TAGS");
  command->add_option("--precision", options.precision, "Precision of the engines; this version builds FP32")
      ->type_name("P")
      ->capture_default_str();
  command->add_option("--minimum-segment-size", options.minimum_segment_size, "Fewest nodes of an engine; -1: no engines")
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--op-denylist", arguments->denylist, "TensorFlow op types that stay native, comma-separated")
      ->type_name("OPS");
  command
      ->add_option("--shapes", arguments->shapes,
                   "Shapes to tune for, name:1x224x224x3,… (default: unknown sizes count as 1)")
      ->type_name("S");
  command
      ->add_option("--min-shapes", arguments->min_shapes,
                   "Smallest shapes to expect; tuned for when neither --shapes nor --max-shapes is given")
      ->type_name("S");
  command
      ->add_option("--max-shapes", arguments->max_shapes, "Largest shapes to expect; tuned for when --shapes is not given")
      ->type_name("S");
  command
      ->add_option("--min-gain", options.min_gain,
                   "Engines less than this many times as fast as native are dropped; 0 keeps all and measures none")
      ->check(at_least(0))
      ->type_name("G")
      ->capture_default_str();
  command->add_option("--threads", options.threads, "Threads to tune for (default: the CPUs of this process)")
      ->check(at_least(0))
      ->type_name("N");
  command
      ->add_option("--timing-cache", options.timing_cache,
                   "File that keeps measured times: with it the next conversion measures no kernel again")
      ->type_name("FILE");
  command->add_flag(
      "--verify", options.verify,
      "Run both models on made-up inputs; print the largest error of each output and the first node that differs");
  command->add_option("--report", options.report, "Write the full report as JSON to this file")->type_name("FILE");
  command->add_flag("--force", options.force, "Replace an existing SavedModel at the output, once the new one is complete");
  bodies[command] = [arguments] { return run(*arguments); };
}

}  // namespace tenon::cli
