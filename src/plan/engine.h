// The serialized engine: what a backend compiled, as named sections of bytes with a stamp that says where it may run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/verdict.h"
#include "tensor/partial_shape.h"
#include "tenon/engine.h"
#include "tenon/tensor.h"

namespace tenon::plan {

// What a plan depends on besides its graph. Two equal stamps can exchange plans and timing caches.
struct Stamp {
  std::string backend;    // "cpu"
  std::string device;     // the processor's or accelerator's model
  std::string isa;        // instruction set the kernels and packed weights are for
  std::string libraries;  // versions of the kernel libraries
  std::string build;      // version and build id of Tenon
  bool operator==(const Stamp&) const = default;
  std::string to_string() const;
};

// A runtime input or output.
struct Binding {
  std::string name;
  DataType dtype = DataType::kInvalid;
  PartialShape shape;
  bool operator==(const Binding&) const = default;
};

// A range of shapes that the engine serves, and the shapes it was tuned for. One without bounds serves every shape.
using Entry = ShapeProfile;

// Bytes under a name. They belong to `owner` (a mapped file, a string) and are never copied.
struct Section {
  std::string name;
  std::string_view bytes;  // 64-byte aligned when loaded, page-aligned when the section was marked so
  std::shared_ptr<const void> owner;
};

class Engine {
 public:
  std::string name;
  std::string precision = "FP32";
  Stamp stamp;
  std::vector<Binding> inputs, outputs;
  std::vector<Entry> entries;

  // Takes the bytes over. A section's name is unique.
  void add_section(std::string section, std::string bytes);
  void add_section(std::string section, std::string_view bytes, std::shared_ptr<const void> owner);
  // Throws kIncompatiblePlan when there is none.
  const Section& section(std::string_view section) const;
  const std::vector<Section>& sections() const noexcept { return sections_; }
  std::uint64_t byte_size() const noexcept;

 private:
  std::vector<Section> sections_;
};

// The format's version; a reader accepts only its own.
inline constexpr std::uint32_t kFormatVersion = 2;

// The file's bytes: the same engine gives the same bytes.
std::string serialize(const Engine& engine);
// Writes a new file; throws kIo.
void write(const Engine& engine, const std::filesystem::path& path);

// Reads a plan that `owner` keeps alive; sections point into `bytes`. Every offset, count and checksum is checked; throws
// kIncompatiblePlan saying what is wrong. `bytes` must be 64-byte aligned, else the sections are copied.
// Bytes that are known to be whole, since their hash is the wanted one, need no checksums of the sections.
enum class Checksums { kVerify, kKnownWhole };
Engine parse(std::string_view bytes, std::shared_ptr<const void> owner, Checksums checksums = Checksums::kVerify);
// Maps the file. Throws kNotFound, kIo, or as parse does.
Engine read(const std::filesystem::path& path);

// Whether an engine may be loaded where `here` is the stamp; the reason names what differs.
Verdict compatible(const Engine& engine, const Stamp& here);

}  // namespace tenon::plan
