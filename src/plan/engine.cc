#include "plan/engine.h"

#include <fmt/format.h>

#include "base/error.h"

namespace tenon::plan {

std::string Stamp::to_string() const {
  return fmt::format("{} on {} ({}; {}; {})", backend, device, isa, libraries, build);
}

void Engine::add_section(std::string section, std::string bytes) {
  auto owned = std::make_shared<const std::string>(std::move(bytes));
  const std::string_view view = *owned;
  add_section(std::move(section), view, std::move(owned));
}

void Engine::add_section(std::string section, std::string_view bytes, std::shared_ptr<const void> owner) {
  for (const Section& existing : sections_) TENON_CHECK(existing.name != section);
  sections_.push_back({std::move(section), bytes, std::move(owner)});
}

const Section& Engine::section(std::string_view wanted) const {
  for (const Section& candidate : sections_) {
    if (candidate.name == wanted) return candidate;
  }
  fail(ErrorCode::kIncompatiblePlan, "engine \"{}\": has no section \"{}\"; build it again", name, wanted);
}

std::uint64_t Engine::byte_size() const noexcept {
  std::uint64_t total = 0;
  for (const Section& section : sections_) total += section.bytes.size();
  return total;
}

Verdict compatible(const Engine& engine, const Stamp& here) {
  const auto differs = [&](std::string_view what, const std::string& there, const std::string& now) {
    return Verdict::no(fmt::format("engine \"{}\" was built for {} \"{}\", this is \"{}\"; it must be built again", engine.name, what,
                                   there, now));
  };
  const Stamp& there = engine.stamp;
  if (there.backend != here.backend) return differs("backend", there.backend, here.backend);
  if (there.isa != here.isa) return differs("instruction set", there.isa, here.isa);
  if (there.libraries != here.libraries) return differs("libraries", there.libraries, here.libraries);
  if (there.build != here.build) return differs("build", there.build, here.build);
  return Verdict::yes();
}

}  // namespace tenon::plan
