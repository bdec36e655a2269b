// Sessions as programs use them: conversions and calls from many threads. The thread sanitizer runs this.
#include "tenon/session.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "tenon/convert.h"
#include "tenon/random_inputs.h"

namespace tenon {
namespace {

const std::string kDigits = std::string(TENON_SOURCE_DIR) + "/examples/digits/model";

class Sessions : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::filesystem::temp_directory_path() / ("tenon_session_test_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    ConvertOptions options;
    options.min_gain = 0;
    convert(kDigits, converted(), options);
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }
  static std::string converted() { return (folder_ / "digits").string(); }
  static std::map<std::string, Tensor> feeds(std::int64_t batch) {
    return {{"image", random_tensor(DataType::kFloat32, Shape{batch, 8, 8, 1}, static_cast<std::uint64_t>(batch))}};
  }
  static std::string bytes(const std::map<std::string, Tensor>& results) {
    const Tensor& tensor = results.at("probabilities");
    return {static_cast<const char*>(tensor.data()), tensor.byte_size()};
  }

  // Several threads call one session with batches of several sizes; each answer is that of a call alone, to the bit.
  static void call_from_threads(const std::string& model, int team) {
    SessionOptions options;
    options.threads = team;
    Session session = Session::open(model, options);
    constexpr std::int64_t kBatches = 6;
    std::vector<std::string> wanted;
    for (std::int64_t batch = 0; batch < kBatches; ++batch) wanted.push_back(bytes(session.run(feeds(batch))));
    std::vector<int> wrong(4, 0);
    {
      std::vector<std::jthread> threads;
      for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
          for (std::int64_t i = 0; i < 24; ++i) {
            const std::int64_t batch = (i + t) % kBatches;
            wrong[static_cast<std::size_t>(t)] += bytes(session.run(feeds(batch))) != wanted[static_cast<std::size_t>(batch)];
          }
        });
      }
    }
    EXPECT_EQ(wrong, std::vector<int>(4, 0));
  }

  static std::filesystem::path folder_;
};

std::filesystem::path Sessions::folder_;

TEST_F(Sessions, AnswerManyThreadsAlikeNatively) { call_from_threads(kDigits, 2); }
TEST_F(Sessions, AnswerManyThreadsAlikeFromAnEngine) { call_from_threads(converted(), 2); }
TEST_F(Sessions, AnswerManyThreadsAlikeWithoutATeam) { call_from_threads(converted(), 1); }

TEST_F(Sessions, OpenAndRunSideBySide) {
  const std::string wanted = bytes(Session::open(converted()).run(feeds(3)));
  std::vector<int> equal(4, 0);
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < equal.size(); ++t) {
      threads.emplace_back([&, t] { equal[t] = bytes(Session::open(converted()).run(feeds(3))) == wanted; });
    }
  }
  EXPECT_EQ(equal, std::vector<int>(4, 1));
}

TEST_F(Sessions, ServeTheirEngine) {
  Session session = Session::open(converted());
  session.run(feeds(2));
  ASSERT_EQ(session.engines().size(), 1u);
  EXPECT_TRUE(session.engines()[0].loaded) << session.engines()[0].reason;
  EXPECT_FALSE(session.engines()[0].rebuilt) << session.engines()[0].reason;
  EXPECT_EQ(session.engines()[0].calls, 1u);
}

TEST_F(Sessions, StopAConversionThatIsCancelled) {
  const std::atomic<bool> cancelled{true};
  ConvertOptions options;
  options.cancel = &cancelled;
  const std::string output = (folder_ / "cancelled").string();
  try {
    convert(kDigits, output, options);
    FAIL() << "not cancelled";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kCancelled) << error.what();
  }
  EXPECT_FALSE(std::filesystem::exists(output));
}

}  // namespace
}  // namespace tenon
