#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "savedmodel/temporary.h"

namespace tenon {
namespace {

namespace fs = std::filesystem;
using testing::TemporaryFolder;

void put(const fs::path& path, const std::string& text) { std::ofstream(path) << text; }

ErrorCode code_of(const auto& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "nothing was thrown";
  return ErrorCode::kInternal;
}

std::size_t entries_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(MappedFile, GivesTheBytes) {
  const TemporaryFolder folder;
  put(folder / "a", "some bytes");
  EXPECT_EQ(MappedFile::open(folder / "a")->bytes(), "some bytes");
  EXPECT_EQ(read_file(folder / "a"), "some bytes");
}

TEST(MappedFile, MayBeEmpty) {
  const TemporaryFolder folder;
  put(folder / "a", "");
  EXPECT_EQ(MappedFile::open(folder / "a")->bytes(), "");
}

TEST(MappedFile, SaysWhatIsMissing) {
  EXPECT_EQ(code_of([] { MappedFile::open("/no/such/file"); }), ErrorCode::kNotFound);
  EXPECT_EQ(code_of([] { MappedFile::open("/"); }), ErrorCode::kIo);
}

TEST(FileWriter, LeavesHoles) {
  const TemporaryFolder folder;
  FileWriter file(folder / "a");
  file.append("x");
  file.skip(64 << 20);
  file.append("y");
  file.skip(3);
  EXPECT_EQ(file.position(), (64u << 20) + 5);
  file.close();
  EXPECT_EQ(fs::file_size(folder / "a"), (64u << 20) + 5);
  struct stat status {};
  ::stat((folder / "a").c_str(), &status);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  copy_file(folder / "a", folder / "b", false);
  ::stat((folder / "b").c_str(), &status);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  EXPECT_EQ(MappedFile::open(folder / "a")->bytes(), MappedFile::open(folder / "b")->bytes());
}

TEST(FileWriter, RefusesAnExistingFile) {
  const TemporaryFolder folder;
  put(folder / "a", "");
  EXPECT_EQ(code_of([&] { FileWriter(folder / "a"); }), ErrorCode::kIo);
}

TEST(FileWriter, ReportsAFullDisk) {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{1 << 20, 1 << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::signal(SIGXFSZ, SIG_IGN);
    ::_exit(code_of([&] {
              FileWriter file(folder / "a");
              file.append(std::string(4 << 20, 'x'));
              file.close();
            }) == ErrorCode::kIo
                ? 0
                : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST(CopyFile, LinksWhereItMay) {
  const TemporaryFolder folder;
  put(folder / "a", "text");
  copy_file(folder / "a", folder / "linked", true);
  copy_file(folder / "a", folder / "copied", false);
  EXPECT_EQ(fs::hard_link_count(folder / "a"), 2u);
  EXPECT_EQ(read_file(folder / "copied"), "text");
}

TEST(StagedDirectory, AppearsWhole) {
  const TemporaryFolder folder;
  {
    StagedDirectory staged(folder / "out", false);
    put(staged.path() / "a", "new");
    EXPECT_FALSE(fs::exists(folder / "out"));
    staged.commit();
  }
  EXPECT_EQ(read_file(folder / "out" / "a"), "new");
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(StagedDirectory, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  { put(StagedDirectory(folder / "out", false).path() / "a", "new"); }
  EXPECT_EQ(entries_in(folder.path()), 0u);
}

TEST(StagedDirectory, ReplacesOnlyWhenAsked) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "out");
  put(folder / "out" / "old", "old");
  EXPECT_EQ(code_of([&] { StagedDirectory(folder / "out", false); }), ErrorCode::kInvalidArgument);
  StagedDirectory staged(folder / "out", true);
  put(staged.path() / "a", "new");
  staged.commit();
  EXPECT_FALSE(fs::exists(folder / "out" / "old"));
  EXPECT_EQ(read_file(folder / "out" / "a"), "new");
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(StagedDirectory, FillsAnEmptyFolderAndMakesParents) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "out");
  StagedDirectory(folder / "out", false).commit();
  StagedDirectory(folder / "a/b/c", false).commit();
  EXPECT_TRUE(fs::is_directory(folder / "a/b/c"));
}

TEST(StagedDirectory, FollowsALink) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "real");
  put(folder / "real" / "old", "old");
  fs::create_directory_symlink(folder / "real", folder / "link");
  StagedDirectory staged(folder / "link", true);
  put(staged.path() / "a", "new");
  staged.commit();
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_file(folder / "real" / "a"), "new");
}

// Another process starts writing and is killed.
void killed_writer(const fs::path& target) {
  const pid_t child = ::fork();
  if (child == 0) {
    StagedDirectory staged(target, true);
    put(staged.path() / "a", "half");
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
}

TEST(StagedDirectory, CleansUpAfterAKilledWriter) {
  const TemporaryFolder folder;
  killed_writer(folder / "out");
  EXPECT_EQ(entries_in(folder.path()), 1u);
  EXPECT_FALSE(fs::exists(folder / "out"));
  StagedDirectory(folder / "out", false).commit();
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(StagedDirectory, LetsALivingWriterBe) {
  const TemporaryFolder folder;
  StagedDirectory first(folder / "out", false);
  StagedDirectory second(folder / "out", false);
  EXPECT_TRUE(fs::exists(first.path()));
  first.commit();
  put(folder / "out" / "a", "first");
  EXPECT_EQ(code_of([&] { second.commit(); }), ErrorCode::kInvalidArgument);
}

TEST(RepairInterruptedWrite, PutsBackWhatWasRenamedAside) {
  const TemporaryFolder folder;
  fs::create_directory(folder / ".out.tenon-old-1-00");
  put(folder / ".out.tenon-old-1-00/a", "old");
  repair_interrupted_write(folder / "out");
  EXPECT_EQ(read_file(folder / "out" / "a"), "old");
}

TEST(RepairInterruptedWrite, KeepsWhatIsThere) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "out");
  put(folder / "out" / "a", "new");
  fs::create_directory(folder / ".out.tenon-old-1-00");
  repair_interrupted_write(folder / "out");
  EXPECT_EQ(read_file(folder / "out" / "a"), "new");
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

}  // namespace
}  // namespace tenon
