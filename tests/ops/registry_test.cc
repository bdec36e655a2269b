#include "ops/registry.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>

namespace tenon::ops {
namespace {

TEST(Registry, EveryOpAndRuleIsUnique) {
  std::set<std::string_view> names, rules, listed;
  for (const OpFamily* family : families()) {
    EXPECT_TRUE(listed.insert(family->name).second) << family->name << " is listed twice in families.cc";
    for (const ir::OpDef& op : family->ops) EXPECT_TRUE(names.insert(op.name).second) << op.name << " in " << family->name;
    for (const ImportRule& rule : family->rules) EXPECT_TRUE(rules.insert(rule.tf_op).second) << rule.tf_op << " in " << family->name;
  }
}

TEST(Registry, EveryRuleNamesAnOpThatCanBeInferred) {
  for (const OpFamily* family : families()) {
    for (const ImportRule& rule : family->rules) {
      const ir::OpDef* op = find_op(rule.ir_op);
      ASSERT_NE(op, nullptr) << rule.tf_op;
      EXPECT_NE(op->infer, nullptr) << rule.ir_op;
      EXPECT_EQ(find_rule(rule.tf_op), &rule);
    }
  }
}

// Every file of src/ops that defines a family is listed in families.cc.
TEST(Registry, EveryFamilyIsListed) {
  std::set<std::string> listed;
  for (const OpFamily* family : families()) listed.insert(std::string(family->name));
  const std::regex definition("const OpFamily& (\\w+)_family\\(\\) \\{");
  for (const auto& entry : std::filesystem::directory_iterator(TENON_SOURCE_DIR "/src/ops")) {
    if (entry.path().extension() != ".cc") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      std::smatch match;
      if (!std::regex_match(line, match, definition)) continue;
      EXPECT_TRUE(listed.count(match[1])) << match[1] << " is missing in families.cc";
    }
  }
}

}  // namespace
}  // namespace tenon::ops
