#include "plan/engine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"

namespace tenon::plan {
namespace {

Engine sample() {
  Engine engine;
  engine.name = "TRTEngineOp_000_001";
  engine.stamp = {"cpu", "some device", "avx512", "lib 1", "build 2"};
  engine.inputs = {{"x", DataType::kFloat32, {Dim::symbol(0), 3}}, {"any", DataType::kInt32, {}}};
  engine.outputs = {{"y:0", DataType::kFloat32, {Dim::symbol(0), 7}}};
  engine.entries.push_back({{{1, 3}, {}}, {{2, 3}, {}}, {{8, 3}, {}}, {{}, {5}}, {{}, {5}}, {{}, {7}}});
  engine.add_section("graph", std::string("some graph"));
  engine.add_section("weights", std::string(10000, 'w'));
  engine.add_section("empty", std::string());
  return engine;
}

std::shared_ptr<const std::string> shared(std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); }

Engine parsed(std::string bytes) {
  const auto owner = shared(std::move(bytes));
  return parse(*owner, owner);
}

TEST(PlanEngine, ComesBackFromItsBytes) {
  const Engine engine = sample();
  const Engine back = parsed(serialize(engine));
  EXPECT_EQ(back.name, engine.name);
  EXPECT_EQ(back.precision, "FP32");
  EXPECT_EQ(back.stamp, engine.stamp);
  EXPECT_EQ(back.inputs, engine.inputs);
  EXPECT_EQ(back.outputs, engine.outputs);
  ASSERT_EQ(back.entries.size(), 1u);
  EXPECT_EQ(back.entries[0].max, engine.entries[0].max);
  EXPECT_EQ(back.entries[0].max_values, engine.entries[0].max_values);
  ASSERT_EQ(back.sections().size(), 3u);
  for (const Section& section : engine.sections()) EXPECT_EQ(back.section(section.name).bytes, section.bytes);
  EXPECT_THROW(back.section("other"), Error);
}

TEST(PlanEngine, RefusesBoundsThatDoNotFitItsInputs) {
  for (const Entry& entry : {Entry{{{1, 3}}, {{2, 3}}, {{8, 3}}, {}, {}, {}}, Entry{{{1, 3}, {}}, {{2}, {}}, {{8, 3}, {}}, {}, {}, {}}}) {
    Engine engine = sample();
    engine.entries = {entry};
    EXPECT_THROW(parsed(serialize(engine)), Error);
  }
}

TEST(PlanEngine, GivesTheSameBytesAgain) {
  const std::string bytes = serialize(sample());
  EXPECT_EQ(serialize(sample()), bytes);
  EXPECT_EQ(serialize(parsed(bytes)), bytes);
}

TEST(PlanEngine, SectionsAreAlignedAlsoWhenTheBytesAreNot) {
  const std::string bytes = serialize(sample());
  const auto owner = shared("x" + bytes);
  const Engine engine = parse(std::string_view(*owner).substr(1), owner);
  for (const Section& section : engine.sections()) EXPECT_EQ(reinterpret_cast<std::uintptr_t>(section.bytes.data()) % 64, 0u);
  EXPECT_EQ(engine.section("weights").bytes, std::string(10000, 'w'));
}

TEST(PlanEngine, AFileIsUsedWhereItIsMapped) {
  const auto path = std::filesystem::temp_directory_path() / ("plan_engine_test." + std::to_string(getpid()));
  std::filesystem::remove(path);
  write(sample(), path);
  EXPECT_EQ(read_file(path), serialize(sample()));
  const Engine engine = read(path);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(engine.section("weights").bytes.data()) % 4096, 0u);
  std::filesystem::remove(path);
  EXPECT_EQ(engine.section("weights").bytes[9999], 'w');
}

TEST(PlanEngine, RefusesEveryFlippedByteAndEveryCut) {
  const std::string bytes = serialize(sample());
  const std::string wanted = serialize(parsed(bytes));
  for (std::size_t i = 0; i < bytes.size(); i += i < 1000 ? 1 : 97) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x41);
    try {
      EXPECT_EQ(serialize(parsed(damaged)), wanted) << "byte " << i;  // padding between sections
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kIncompatiblePlan);
    }
  }
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{63}, std::size_t{64}, std::size_t{4096}, bytes.size() - 1}) {
    EXPECT_THROW(parsed(bytes.substr(0, size)), Error);
  }
}

TEST(PlanEngine, RefusesAnotherVersion) {
  std::string bytes = serialize(sample());
  bytes[8] = 99;
  try {
    parsed(bytes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("version 99"), std::string::npos);
  }
}

TEST(PlanEngine, SaysWhatDoesNotFit) {
  const Engine engine = sample();
  EXPECT_TRUE(compatible(engine, engine.stamp));
  Stamp other = engine.stamp;
  other.isa = "avx2";
  const Verdict verdict = compatible(engine, other);
  EXPECT_FALSE(verdict);
  EXPECT_NE(verdict.reason().find("avx2"), std::string::npos);
}

}  // namespace
}  // namespace tenon::plan
