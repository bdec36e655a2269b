#include "import/import.h"

#include <gtest/gtest.h>

#include "import/graph_text.h"
#include "runtime/run_text.h"

namespace tenon {
namespace {

using namespace test;

const std::string kDouble = function("double", {"x"}, {{"y", "sum:z:0"}}, inner("sum", "AddV2", {"x", "x"}, {kFloatT}));

bool holds(const Imported& model, std::string_view op) {
  for (const auto& n : model.module->main->nodes()) {
    if (n->is(op)) return true;
  }
  return false;
}

TEST(Import, InlinesNestedCallsAndKeepsTheirNames) {
  const std::string library =
      kDouble + function("twice", {"x"}, {{"y", "second:output:0"}},
                         call("first", "double", {"x"}, 1, "node_def") + call("second", "double", {"first:output:0"}, 1, "node_def"));
  const std::string nodes = placeholder("x") + call("outer", "twice", {"x"});
  const Imported model = import_text(nodes, library);
  EXPECT_FALSE(holds(model, "call"));
  ASSERT_NE(model.find("outer"), nullptr);
  EXPECT_TRUE(model.find("outer")->is("identity"));
  ASSERT_NE(model.find("outer/first/sum"), nullptr);
  EXPECT_TRUE(model.find("outer/second")->is("identity"));
  EXPECT_EQ(TextModel(nodes, library).number({{"x", scalar(3)}}, "outer"), 12);
}

TEST(Import, CallsWhoseResultsNobodyWantsMayNameMissingFunctions) {
  const std::string nodes = placeholder("x") + call("bad", "nowhere", {"x"}) + call("good", "double", {"x"});
  TextModel model(nodes, kDouble, {{}, {"x"}, {"good"}});
  EXPECT_EQ(model.number({{"x", scalar(3)}}, "good"), 6);
  const std::string error = error_of([&] { model.run({{"x", scalar(3)}}, {"bad"}); });
  EXPECT_NE(error.find("\"nowhere\""), std::string::npos) << error;
  EXPECT_NE(error.find("not in the model's library"), std::string::npos) << error;
}

TEST(Import, RecursiveFunctionsStayCallsAndEndWithAnError) {
  const std::string library = function("f", {"x"}, {{"y", "again:output:0"}}, call("again", "f", {"x"}, 1, "node_def"));
  TextModel model(placeholder("x") + call("y", "f", {"x"}), library);
  const std::string error = error_of([&] { model.run({{"x", scalar(3)}}, {"y"}); });
  EXPECT_NE(error.find("nested more than"), std::string::npos) << error;
}

// f(x) = x > 100 ? x : f(x + x)
TEST(Import, RecursionThatEndsGivesItsResult) {
  const std::string branch_types = types_attr("Tin", {"DT_FLOAT"});
  const std::string library =
      function("f", {"x"}, {{"y", "if:output:0"}},
               inner("limit", "Const", {}, {kFloatDtype, const_attr(100)}) + inner("big", "Greater", {"x", "limit:output:0"}, {kFloatT}) +
                   inner("if", "If", {"big:z:0", "x"},
                         {type_attr("Tcond", "DT_BOOL"), branch_types, types_attr("Tout", {"DT_FLOAT"}), func_attr("then_branch", "same"),
                          func_attr("else_branch", "more")})) +
      function("same", {"x"}, {{"y", "x"}}, "") +
      function("more", {"x"}, {{"y", "call:output:0"}},
               inner("sum", "AddV2", {"x", "x"}, {kFloatT}) + call("call", "f", {"sum:z:0"}, 1, "node_def"));
  TextModel model(placeholder("x") + call("y", "f", {"x"}), library);
  EXPECT_EQ(model.number({{"x", scalar(3)}}, "y"), 192);
}

TEST(Import, PolymorphicBodiesTakeTheCallersAttributes) {
  const std::string library =
      "function { signature { name: 'f' input_arg { name: 'x' type_attr: 'T' } output_arg { name: 'y' type_attr: 'T' }"
      " attr { name: 'T' type: 'type' } }" +
      inner("sum", "AddV2", {"x", "x"}, {"key: 'T' value { placeholder: 'T' }"}) + " ret { key: 'y' value: 'sum:z:0' } }";
  const std::string nodes =
      placeholder("x", "DT_INT32") +
      node("y", "PartitionedCall", {"x"},
           {types_attr("Tin", {"DT_INT32"}), types_attr("Tout", {"DT_INT32"}),
            "key: 'f' value { func { name: 'f' attr { key: 'T' value { type: DT_INT32 } } } }"});
  TextModel model(nodes, library);
  EXPECT_EQ(model.find("y/sum")->attr<DataType>("T"), DataType::kInt32);
  EXPECT_EQ(model.integer({{"x", Tensor::scalar<std::int32_t>(4)}}, "y"), 8);
}

// One function for both branches of two Ifs, once as float and once as integers.
TEST(Import, PolymorphicBranchesAreToldApartByTheirAttributes) {
  const std::string library =
      "function { signature { name: 'f' input_arg { name: 'x' type_attr: 'T' } output_arg { name: 'y' type_attr: 'T' }"
      " attr { name: 'T' type: 'type' } }" +
      inner("half", "Const", {}, {"key: 'dtype' value { placeholder: 'T' }", "key: 'value' value { placeholder: 'v' }"}) +
      inner("sum", "AddV2", {"x", "half:output:0"}, {"key: 'T' value { placeholder: 'T' }"}) + " ret { key: 'y' value: 'sum:z:0' } }";
  const auto branch = [](const std::string& key, const std::string& dtype, const std::string& value) {
    return "key: '" + key + "' value { func { name: 'f' attr { key: 'T' value { type: " + dtype +
           " } } attr { key: 'v' value { tensor { dtype: " + dtype + " tensor_shape { } " + value + " } } } } }";
  };
  const auto choose = [&](const std::string& name, const std::string& x, const std::string& dtype, const std::string& a, const std::string& b) {
    return node(name, "If", {"p", x}, {type_attr("Tcond", "DT_BOOL"), types_attr("Tin", {dtype}), types_attr("Tout", {dtype}),
                                       branch("then_branch", dtype, a), branch("else_branch", dtype, b)});
  };
  TextModel model(placeholder("p", "DT_BOOL") + placeholder("x") + placeholder("i", "DT_INT32") +
                      choose("y", "x", "DT_FLOAT", "float_val: 0.5", "float_val: 1.5") +
                      choose("j", "i", "DT_INT32", "int_val: 7", "int_val: 9") + choose("k", "i", "DT_INT32", "int_val: 7", "int_val: 7"),
                  library);
  for (const bool taken : {true, false}) {
    const std::vector<std::pair<std::string, Tensor>> feeds{
        {"p", Tensor::scalar(taken)}, {"x", scalar(3)}, {"i", Tensor::scalar<std::int32_t>(4)}};
    EXPECT_EQ(model.number(feeds, "y"), taken ? 3.5f : 4.5f);
    EXPECT_EQ(model.integer(feeds, "j"), taken ? 11 : 13);
    EXPECT_EQ(model.integer(feeds, "k"), 11);
  }
  EXPECT_EQ(model.module().functions.size(), 4u);
}

// f names itself with one attribute more each time.
TEST(Import, InstancesOfAFunctionAreBounded) {
  const std::string more = "func { name: 'f' attr { key: 'F' value { func { name: 'g' attr { key: 'inner' value { placeholder: 'F' } } } } } }";
  const std::string library =
      "function { signature { name: 'f' input_arg { name: 'x' type: DT_FLOAT } output_arg { name: 'y' type: DT_FLOAT } }" +
      inner("again", "If", {"x", "x"},
            {type_attr("Tcond", "DT_FLOAT"), types_attr("Tin", {"DT_FLOAT"}), types_attr("Tout", {"DT_FLOAT"}), "key: 'then_branch' value { " + more + " }",
             "key: 'else_branch' value { " + more + " }"}) +
      " ret { key: 'y' value: 'again:output:0' } }";
  const std::string nodes = placeholder("x") + node("y", "If", {"x", "x"},
                                                    {type_attr("Tcond", "DT_FLOAT"), types_attr("Tin", {"DT_FLOAT"}), types_attr("Tout", {"DT_FLOAT"}),
                                                     "key: 'then_branch' value { func { name: 'f' attr { key: 'F' value { i: 1 } } } }",
                                                     func_attr("else_branch", "f")});
  EXPECT_NE(error_of([&] { TextModel(nodes, library); }).find("sets of attributes"), std::string::npos);
}

TEST(Import, StateInABodyIsReadAfterWhatTheCallWaitsFor) {
  const std::string resource = "DT_RESOURCE";
  const std::string library =
      "function { signature { name: 'read' input_arg { name: 'v' type: DT_RESOURCE } output_arg { name: 'y' type: DT_FLOAT } }" +
      inner("same", "Identity", {"v"}, {type_attr("T", resource)}) +
      inner("value", "ReadVariableOp", {"same:output:0"}, {kFloatDtype}) + " ret { key: 'y' value: 'value:value:0' } }";
  const std::string nodes =
      placeholder("x") + node("v", "VarHandleOp", {}, {kFloatDtype, "key: 'shape' value { shape { } }", string_attr("shared_name", "v")}) +
      // In order of names and creation the read would come first.
      node("a_read", "PartitionedCall", {"v", "^z_assign"},
           {types_attr("Tin", {resource}), types_attr("Tout", {"DT_FLOAT"}), func_attr("f", "read")}) +
      node("z_assign", "AssignVariableOp", {"v", "x"}, {kFloatDtype});
  TextModel model(nodes, library);
  EXPECT_EQ(model.number({{"x", scalar(3)}}, "a_read"), 3);
  EXPECT_EQ(model.number({{"x", scalar(4)}}, "a_read"), 4);
}

TEST(Import, WaitingForACallWaitsForItsStatefulNodes) {
  const std::string resource = "DT_RESOURCE";
  const std::string library = "function { signature { name: 'set' input_arg { name: 'v' type: DT_RESOURCE } input_arg { name: 'x' type: DT_FLOAT } }" +
                              inner("assign", "AssignVariableOp", {"v", "x"}, {kFloatDtype}) +
                              " control_ret { key: 'assign' value: 'assign' } }";
  const std::string nodes =
      placeholder("x") + node("v", "VarHandleOp", {}, {kFloatDtype, "key: 'shape' value { shape { } }", string_attr("shared_name", "v")}) +
      node("read", "ReadVariableOp", {"v", "^set"}, {kFloatDtype}) +
      node("set", "PartitionedCall", {"v", "x"}, {types_attr("Tin", {resource, "DT_FLOAT"}), types_attr("Tout", {}), func_attr("f", "set")});
  TextModel model(nodes, library);
  EXPECT_EQ(model.number({{"x", scalar(3)}}, "read"), 3);
}

TEST(Import, ArgumentCountsMustAgree) {
  const std::string error = error_of([] { import_text(placeholder("x") + call("y", "double", {"x", "x"}), kDouble); });
  EXPECT_NE(error.find("\"y\""), std::string::npos) << error;
  EXPECT_NE(error.find("\"double\""), std::string::npos) << error;
}

TEST(Import, DanglingNamesAreNamed) {
  EXPECT_NE(error_of([] { import_text(node("y", "Neg", {"x"}, {kFloatT})); }).find("reads \"x\", which is not in the graph"), std::string::npos);
  EXPECT_NE(error_of([] { import_text(node("y", "NoOp", {"^x"})); }).find("waits for \"x\""), std::string::npos);
  EXPECT_NE(error_of([] { import_text(placeholder("x") + node("y", "Neg", {"x:1"}, {kFloatT})); }).find("output 1"), std::string::npos);
  EXPECT_NE(error_of([] { import_text(placeholder("x") + node("y", "Neg", {"x:99999999999"}, {kFloatT})); }).find("not the name of a tensor"),
            std::string::npos);
  const std::string broken = function("f", {"x"}, {{"y", "nothing:y:0"}}, "");
  EXPECT_NE(error_of([&] { import_text(placeholder("x") + call("y", "f", {"x"}), broken); }).find("function \"f\""), std::string::npos);
}

TEST(Import, CyclesAreRefused) {
  const std::string nodes = node("a", "Neg", {"b"}, {kFloatT}) + node("b", "Neg", {"a"}, {kFloatT});
  EXPECT_NE(error_of([&] { import_text(nodes); }).find("cycle"), std::string::npos);
  EXPECT_NE(error_of([&] { import_text(node("a", "NoOp", {"^a"})); }).find("cycle"), std::string::npos);
  const std::string body = function("f", {"x"}, {{"y", "a:y:0"}}, inner("a", "Neg", {"b:y:0"}, {kFloatT}) + inner("b", "Neg", {"a:y:0"}, {kFloatT}));
  EXPECT_NE(error_of([&] { TextModel(placeholder("x") + call("y", "f", {"x"}), body).run({{"x", scalar(1)}}, {"y"}); }).find("cycle"),
            std::string::npos);
}

TEST(Import, FunctionsThatCallManyTimesOverAreBounded) {
  std::string library = function("f0", {"x"}, {{"y", "n:y:0"}}, inner("n", "Neg", {"x"}, {kFloatT}));
  for (int level = 1; level < 40; ++level) {
    const std::string below = "f" + std::to_string(level - 1);
    std::string body;
    std::string last = "x";
    for (int i = 0; i < 10; ++i) {
      body += call("c" + std::to_string(i), below, {last}, 1, "node_def");
      last = "c" + std::to_string(i) + ":output:0";
    }
    library += function("f" + std::to_string(level), {"x"}, {{"y", last}}, body);
  }
  const std::string error = error_of([&] { import_text(placeholder("x") + call("y", "f39", {"x"}), library); });
  EXPECT_NE(error.find("inlining"), std::string::npos) << error;
}

TEST(Import, OldScalarPlaceholderShapesMeanUnknown) {
  const std::string x = node("x", "Placeholder", {}, {kFloatDtype, "key: 'shape' value { shape { } }"});
  const auto shape_of = [&](int producer) {
    const Imported model = import_text(x + "versions { producer: " + std::to_string(producer) + " }");
    return model.find("x")->outputs[0].shape;
  };
  EXPECT_FALSE(shape_of(21).known_rank());
  EXPECT_TRUE(shape_of(1000).known_rank());
}

TEST(Import, AttributesOfAnotherTypeNameTheNode) {
  const std::string nodes = placeholder("x") + node("y", "PartitionedCall", {"x"}, {types_attr("Tin", {"DT_FLOAT"}), types_attr("Tout", {"DT_FLOAT"}), int_attr("f", 3)});
  const std::string error = error_of([&] { import_text(nodes); });
  EXPECT_NE(error.find("\"y\""), std::string::npos) << error;
  EXPECT_NE(error.find("\"f\""), std::string::npos) << error;
}

TEST(Import, HugeResultCountsAreRefused) {
  for (const std::string count : {"2147483647", "9000000000000000000", "-1"}) {
    const std::string nodes = placeholder("x") + constant_int("axis", 0) +
                              node("y", "Split", {"axis", "x"}, {kFloatT, "key: 'num_split' value { i: " + count + " }"});
    const std::string error = error_of([&] { TextModel(nodes).run({{"x", scalar(1)}}, {"y"}); });
    EXPECT_NE(error, "") << count;
  }
}

TEST(Import, AFrozenGraphsResultsAreWhatNobodyReads) {
  const Imported model = import_text(placeholder("x") + node("a", "Neg", {"x"}, {kFloatT}) + node("b", "Neg", {"a"}, {kFloatT}) + constant("c", 1));
  ASSERT_EQ(model.module->signatures.size(), 1u);
  ASSERT_EQ(model.module->signatures[0].inputs.size(), 1u);
  EXPECT_EQ(model.module->signatures[0].inputs[0].key, "x");
  ASSERT_EQ(model.module->signatures[0].outputs.size(), 1u);
  EXPECT_EQ(model.module->signatures[0].outputs[0].key, "b");
}

TEST(Import, AMillionNodesAreReadInBoundedTime) {
  std::string nodes = placeholder("n0");
  constexpr int kNodes = 200'000;  // a fifth: the full number is tried through the command line
  for (int i = 1; i <= kNodes; ++i) nodes += node("n" + std::to_string(i), "Neg", {"n" + std::to_string(i - 1)}, {kFloatT});
  TextModel model(nodes);
  EXPECT_EQ(model.number({{"n0", scalar(2)}}, "n" + std::to_string(kNodes)), 2);
}

}  // namespace
}  // namespace tenon
