// tenon: convert, run, time, compare and inspect TensorFlow models without TensorFlow.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <system_error>

#include "command.h"
#include "tenon/error.h"
#include "tenon/version.h"

namespace {

int report(bool json, const char* code, const char* message) {
  if (json) {
    std::printf("%s\n", tenon::cli::json_text({{"error", {{"code", code}, {"message", message}}}}).c_str());
  }
  std::fprintf(stderr, "tenon: %s\n", message);
  return tenon::cli::kRefused;
}

bool wants_json(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--json") return true;
  }
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  // Writing to a closed pipe, or beyond the largest size allowed for a file, is an error like others.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  CLI::App app{"Makes TensorFlow SavedModels faster and runs them, converted or not, without TensorFlow.", "tenon"};
  app.set_version_flag("--version", std::string("tenon ") + tenon::version());
  app.require_subcommand(1);
  app.footer("Exit codes: 0 done, 1 bad input or refused, 2 usage. 'tenon COMMAND --help' tells more.");
  std::map<CLI::App*, tenon::cli::Body> bodies;
  tenon::cli::add_convert(app, bodies);
  tenon::cli::add_run(app, bodies);
  tenon::cli::add_bench(app, bodies);
  tenon::cli::add_compare(app, bodies);
  tenon::cli::add_inspect(app, bodies);
  tenon::cli::add_ops(app, bodies);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? tenon::cli::kDone : tenon::cli::kUsage;
  }
  const bool json = wants_json(argc, argv);
  try {
    const int code = bodies.at(app.get_subcommands().at(0))();
    if (std::fflush(stdout) != 0) throw std::system_error(errno, std::generic_category(), "cannot write");
    return code;
  } catch (const tenon::Error& error) {
    return report(json, tenon::error_code_name(error.code()), error.what());
  } catch (const std::filesystem::filesystem_error& error) {
    return report(json, "io", error.what());
  } catch (const std::system_error& error) {  // from printing: what else fails throws tenon::Error
    return report(false, "io", (std::string("standard output cannot be written: ") + error.code().message()).c_str());
  } catch (const std::bad_alloc&) {
    return report(json, "out_of_memory", "out of memory");
  } catch (const std::exception& error) {
    return report(json, "internal", error.what());
  }
}
