// tenon bench: times a model on made-up inputs.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <memory>
#include <numeric>
#include <set>
#include <thread>

#include "command.h"
#include "tenon/error.h"
#include "tenon/profile.h"

namespace tenon::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
  Common common;
  ModelOptions model;
  std::vector<std::string> inputs;
  std::string shapes;
  std::int64_t batch = 1;
  int streams = 1;
  int warmup = 3;
  int iterations = 0;
  double duration = 3.0;
  bool profile = false;
  std::uint64_t seed = 0;
};

double percentile(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::clamp<std::size_t>(rank, 1, sorted.size()) - 1];
}

// Milliseconds of every call of one stream.
std::vector<double> time_calls(Session& session, const std::map<std::string, Tensor>& feeds, const BenchOptions& options) {
  std::vector<double> times;
  const auto end = Clock::now() + std::chrono::duration<double>(options.duration);
  while (options.iterations > 0 ? static_cast<int>(times.size()) < options.iterations
                                : Clock::now() < end || times.empty()) {
    const auto start = Clock::now();
    session.run(feeds);
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - start).count());
  }
  return times;
}

std::vector<double> time_streams(Session& session, const std::map<std::string, Tensor>& feeds, const BenchOptions& options) {
  if (options.streams == 1) return time_calls(session, feeds, options);
  std::vector<std::vector<double>> times(static_cast<std::size_t>(options.streams));
  std::vector<std::exception_ptr> errors(times.size());
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < times.size(); ++i) {
      threads.emplace_back([&, i] {
        try {
          times[i] = time_calls(session, feeds, options);
        } catch (...) {
          errors[i] = std::current_exception();
        }
      });
    }
  }
  std::vector<double> all;
  for (std::size_t i = 0; i < times.size(); ++i) {
    if (errors[i]) std::rethrow_exception(errors[i]);
    all.insert(all.end(), times[i].begin(), times[i].end());
  }
  return all;
}

Json profile(Session& session, const std::map<std::string, Tensor>& feeds, bool as_json) {
  session.profile(feeds);  // makes what the first profiled call makes
  const std::vector<ProfileEntry> entries = session.profile(feeds);
  const double peak = measured_peak_flops(session.threads());
  const double total =
      std::accumulate(entries.begin(), entries.end(), 0.0, [](double t, const auto& e) { return t + e.seconds; });
  Json layers = Json::array();
  if (!as_json) {
    fmt::print("\n{:>9} {:>6} {:>9} {:>6}  {:<24} {:<24} {}\n", "ms", "share", "GFLOP/s", "peak", "kernel", "shape", "node");
  }
  for (const ProfileEntry& entry : entries) {
    const double rate = entry.seconds > 0 ? entry.flops / entry.seconds : 0;
    if (as_json) {
      layers.push_back({{"node", entry.node},
                        {"op", entry.op_type},
                        {"kernel", entry.kernel},
                        {"shape", entry.shape},
                        {"engine", entry.engine},
                        {"ms", entry.seconds * 1e3},
                        {"gflops", rate * 1e-9},
                        {"share_of_peak", rate / peak},
                        {"merged", entry.merged}});
    } else {
      fmt::print("{:9.3f} {:5.1f}% {:9.1f} {:5.0f}%  {:<24} {:<24} {} ({})\n", entry.seconds * 1e3,
                 100 * entry.seconds / total, rate * 1e-9, 100 * rate / peak, entry.kernel, entry.shape, entry.node,
                 entry.op_type);
    }
  }
  if (!as_json)
    fmt::print("{:9.3f} ms in all; measured peak {:.1f} GFLOP/s on {} thread(s)\n", total * 1e3, peak * 1e-9,
               session.threads());
  return {{"layers", layers}, {"total_ms", total * 1e3}, {"peak_gflops", peak * 1e-9}};
}

// The most memory that this process has had resident, mapped files included; 0 when the system does not say.
std::uint64_t peak_memory() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

Json memory(const Session& session, bool as_json) {
  std::uint64_t weights = 0, activations = 0;
  std::set<std::string> counted;  // nodes may share an engine
  for (const EngineStatus& engine : session.engines()) {
    if (!counted.insert(engine.engine).second) continue;
    weights += engine.weight_bytes;
    activations += engine.activation_bytes;
  }
  const std::uint64_t peak = peak_memory();
  if (!as_json) {
    constexpr double kMega = 1e-6;
    fmt::print("memory: engines' weights {:.1f} MB, activations {:.1f} MB; peak of the process {:.1f} MB\n",
               static_cast<double>(weights) * kMega, static_cast<double>(activations) * kMega,
               static_cast<double>(peak) * kMega);
  }
  return {{"weight_bytes", weights}, {"activation_bytes", activations}, {"peak_bytes", peak}};
}

int bench(const BenchOptions& options) {
  const auto start = Clock::now();
  Session session = Session::open(options.model.path, session_options(options.model, options.common));
  const double load_ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  std::map<std::string, Tensor> feeds = read_feeds(options.inputs);
  auto made = random_feeds(session.inputs(), parse_shapes(options.shapes), options.batch, options.seed);
  feeds.merge(made);
  for (int i = 0; i < options.warmup; ++i) session.run(feeds);
  const auto begin = Clock::now();
  std::vector<double> times = time_streams(session, feeds, options);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  std::sort(times.begin(), times.end());
  const double mean = std::accumulate(times.begin(), times.end(), 0.0) / static_cast<double>(times.size());
  const double calls = static_cast<double>(times.size()) / seconds;
  Json json{{"model", options.model.path},
            {"threads", session.threads()},
            {"streams", options.streams},
            {"calls", times.size()},
            {"load_ms", load_ms},
            {"min_ms", times.front()},
            {"median_ms", percentile(times, 0.5)},
            {"mean_ms", mean},
            {"p90_ms", percentile(times, 0.9)},
            {"p99_ms", percentile(times, 0.99)},
            {"calls_per_second", calls},
            {"items_per_second", calls * static_cast<double>(options.batch)}};
  for (const EngineStatus& engine : session.engines()) {
    json["engines"].push_back({{"name", engine.name},
                               {"engine", engine.engine},
                               {"loaded", engine.loaded},
                               {"rebuilt", engine.rebuilt},
                               {"reason", engine.reason},
                               {"calls", engine.calls},
                               {"native_calls", engine.native_calls}});
  }
  if (!options.common.json) {
    fmt::print("latency ms: min {:.3f}  median {:.3f}  mean {:.3f}  p90 {:.3f}  p99 {:.3f}\n", times.front(),
               percentile(times, 0.5), mean, percentile(times, 0.9), percentile(times, 0.99));
    fmt::print("throughput: {:.2f} calls/s, {:.2f} items/s; {} calls, {} thread(s), {} stream(s); loaded in {:.0f} ms\n",
               calls, calls * static_cast<double>(options.batch), times.size(), session.threads(), options.streams, load_ms);
  }
  json["memory"] = memory(session, options.common.json);
  if (options.profile) json["profile"] = profile(session, feeds, options.common.json);
  if (options.common.json) fmt::print("{}\n", json_text(json));
  return kDone;
}

}  // namespace

void add_bench(CLI::App& app, std::map<CLI::App*, Body>& bodies) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command = app.add_subcommand("bench", "Time a model: latency, throughput, time per layer");
  add_common(*command, options->common);
  add_model(*command, options->model);
  command
      ->add_option("--inputs", options->inputs,
                   "name=file.npy, name=file.npz[:array], or a .npz that holds all inputs; what is not given is made up")
      ->type_name("FEED");
  command->add_option("--batch", options->batch, "Size of unknown first dimensions")
      ->check(above_zero())
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--shapes", options->shapes, "Shapes of made-up inputs, name:1x224x224x3,…")->type_name("S");
  command->add_option("--streams", options->streams, "Threads that call the session at once, 1 to 1024")
      ->check(CLI::Range(1, 1024).description(""))
      ->type_name("N")
      ->capture_default_str();
  command->add_option("--warmup", options->warmup, "Calls before the timing")
      ->check(at_least(0))
      ->type_name("W")
      ->capture_default_str();
  auto* iterations = command
                         ->add_option("--iterations", options->iterations,
                                      "Calls to time, per stream (default: as many as --duration allows)")
                         ->check(above_zero())
                         ->type_name("I");
  command->add_option("--duration", options->duration, "Seconds to time")
      ->check(above_zero())
      ->excludes(iterations)
      ->type_name("S")
      ->capture_default_str();
  command->add_flag(
      "--profile", options->profile,
      "Also print each layer on the model's own node names: kernel, shape, time, GFLOP/s, share of the measured peak");
  command->add_option("--seed", options->seed, "Seed of the made-up inputs")->type_name("N")->capture_default_str();
  bodies[command] = [options] { return bench(*options); };
}

}  // namespace tenon::cli
