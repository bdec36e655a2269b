#include "savedmodel/write.h"

#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "savedmodel/rewrite.h"

namespace tenon::saved {
namespace {

namespace fs = std::filesystem;

// Folders nested deeper than this are links in a circle.
constexpr int kMaxFolderDepth = 32;

fs::path resolve(const fs::path& path) {
  std::error_code error;
  fs::path resolved = fs::weakly_canonical(fs::absolute(path), error);
  if (error) fail(ErrorCode::kIo, "resolving \"{}\" failed: {}", path.string(), error.message());
  return resolved.has_filename() ? resolved : resolved.parent_path();
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

class FolderWriter {
 public:
  FolderWriter(const Model& model, const fs::path& target, const WriteOptions& options)
      : source_(model.directory), target_(target), options_(options) {
    for (const AssetContent& asset : options.assets) replaced_.insert(fs::path(asset.filename).lexically_normal());
    for (const std::string& name : options.drop_assets) replaced_.insert(fs::path(name).lexically_normal());
  }

  void write_graph(const WireRope& graph) {
    FileWriter file(target_ / "saved_model.pb");
    graph.for_each_piece([&](std::string_view piece) { file.append(piece); });
    file.close();
  }

  // Copies what belongs to the model; everything else is reported.
  void copy_original() {
    if (source_.empty()) return;
    std::set<std::string> names;  // sorted: the report shall not depend on the file system
    for (const fs::directory_entry& entry : fs::directory_iterator(source_)) names.insert(entry.path().filename().string());
    for (const std::string& name : names) {
      const bool is_folder = fs::is_directory(source_ / name);
      if (name == "variables" && options_.drop_variables) continue;
      if (is_folder && (name == "variables" || name == "assets" || name == "assets.extra")) {
        copy_folder(name, name == "variables" && options_.link_variables, 0);
      } else if (name != "saved_model.pb" && name != "saved_model.pbtxt") {
        report_.dropped.push_back(is_folder ? name + "/" : name);
      }
    }
  }

  void write_assets() {
    for (const AssetContent& asset : options_.assets) {
      const fs::path name = fs::path(asset.filename).lexically_normal();
      if (name.empty() || name.is_absolute() || *name.begin() == "..") {
        fail(ErrorCode::kInvalidArgument, "asset \"{}\": its name leads out of the assets folder", asset.filename);
      }
      const fs::path path = target_ / "assets" / name;
      fs::create_directories(path.parent_path());
      FileWriter file(path);
      asset.write(file);
      file.close();
    }
  }

  WriteReport take_report() { return std::move(report_); }

 private:
  void copy_folder(const fs::path& relative, bool link, int depth) {
    if (depth > kMaxFolderDepth) {
      fail(ErrorCode::kIo, "\"{}\": its folders lead in a circle", (source_ / relative).string());
    }
    fs::create_directories(target_ / relative);
    for (const fs::directory_entry& entry : fs::directory_iterator(source_ / relative)) {
      const fs::path name = relative / entry.path().filename();
      if (replaced_.contains(name.lexically_relative("assets"))) continue;
      if (entry.is_directory()) {
        copy_folder(name, link, depth + 1);
      } else if (entry.is_regular_file()) {
        copy_file(entry.path(), target_ / name, link);
      } else {
        report_.dropped.push_back(name.string());
      }
    }
  }

  fs::path source_;
  fs::path target_;
  const WriteOptions& options_;
  std::set<fs::path> replaced_;  // relative to assets/
  WriteReport report_;
};

}  // namespace

void check_output(const Model& model, const fs::path& output, bool replace) {
  const fs::path target = resolve(output);
  const fs::path source = resolve(model.directory.empty() ? model.file : model.directory);
  if (is_inside(target, source) || is_inside(source, target)) {
    fail(ErrorCode::kInvalidArgument, "the output \"{}\" is, holds or lies in the input \"{}\"; name another folder",
         output.string(), source.string());
  }
  std::error_code error;
  const fs::file_status status = fs::symlink_status(output, error);
  const bool empty_folder = fs::is_directory(target, error) && fs::is_empty(target, error);
  if (fs::exists(status) && !empty_folder) {
    if (!replace) fail(ErrorCode::kInvalidArgument, "\"{}\" exists already; remove it, name another folder or ask to replace it", output.string());
    const bool is_model = fs::exists(target / "saved_model.pb", error) || fs::exists(target / "saved_model.pbtxt", error);
    if (!is_model) fail(ErrorCode::kInvalidArgument, "\"{}\" holds something else than a SavedModel and is not replaced", output.string());
  }
  fs::path parent = target.parent_path();
  while (!fs::exists(parent, error) && parent.has_relative_path()) parent = parent.parent_path();
  if (!fs::is_directory(parent, error) || ::access(parent.c_str(), W_OK | X_OK) != 0) {
    fail(ErrorCode::kIo, "\"{}\" cannot be made: no folder can be made in \"{}\"", output.string(), parent.string());
  }
}

WriteReport write(const Model& model, const fs::path& output, const WriteOptions& options) {
  try {
    check_output(model, output, options.replace);
    const WireRope graph = rewrite(model, options.edits, options.only_edited);
    StagedDirectory staged(output, options.replace);
    FolderWriter writer(model, staged.path(), options);
    writer.write_graph(graph);
    writer.copy_original();
    writer.write_assets();
    staged.commit();
    return writer.take_report();
  } catch (const fs::filesystem_error& error) {
    fail(ErrorCode::kIo, "writing \"{}\" failed: {}", output.string(), error.what());
  }
}

}  // namespace tenon::saved
