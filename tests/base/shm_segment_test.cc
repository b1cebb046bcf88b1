#include "base/shm_segment.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/strings.h"
#include "testing.h"

namespace raylet {
namespace {

TEST(MemfdTest, IsZeroSealedInSizeAndSharedByItsMappings) {
  const auto fd = CreateMemfd("test", 8192, false);
  ASSERT_TRUE(fd) << fd.error().message;
  EXPECT_EQ(FileSize(fd->get()).value(), 8192U);
  EXPECT_EQ(::ftruncate(fd->get(), 4096), -1);
  EXPECT_EQ(::ftruncate(fd->get(), 16384), -1);
  const auto one = Mapping::Map(fd->get(), 8192, Mapping::Access::kReadWrite);
  const auto two = Mapping::Map(fd->get(), 4096, Mapping::Access::kReadOnly);
  ASSERT_TRUE(one);
  ASSERT_TRUE(two);
  EXPECT_EQ(two->data()[5], std::byte{0});
  one->data()[5] = std::byte{42};
  EXPECT_EQ(two->data()[5], std::byte{42});
}

TEST(MemfdTest, AReservedOneHasItsPagesNow) {
  const auto fd = CreateMemfd("test", 1 << 20, true);
  ASSERT_TRUE(fd) << fd.error().message;
  struct stat status {};
  ASSERT_EQ(::fstat(fd->get(), &status), 0);
  EXPECT_EQ(status.st_blocks * 512, 1 << 20);
}

TEST(MemfdTest, MoreThanTheMachineHasIsFullAtOnce) {
  const auto fd = CreateMemfd("test", size_t{1} << 46, true);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().code, ErrorCode::kFull);
  EXPECT_NE(fd.error().message.find("wants 64.0 TiB"), std::string::npos) << fd.error().message;
}

TEST(MemfdTest, NoBytesIsNoSegment) {
  const auto fd = CreateMemfd("test", 0, false);
  ASSERT_FALSE(fd);
  EXPECT_EQ(fd.error().code, ErrorCode::kInvalid);
}

TEST(MemfdTest, AReadOnlyDescriptorRefusesToBeMappedForWriting) {
  const auto fd = CreateMemfd("test", 4096, false);
  const auto read_only = ReopenReadOnly(fd->get());
  ASSERT_TRUE(read_only) << read_only.error().message;
  EXPECT_TRUE(Mapping::Map(read_only->get(), 4096, Mapping::Access::kReadOnly));
  const auto writable = Mapping::Map(read_only->get(), 4096, Mapping::Access::kReadWrite);
  ASSERT_FALSE(writable);
  EXPECT_EQ(writable.error().code, ErrorCode::kNotAllowed);
  // Nor can a mapping of it be made writable afterwards.
  void* const raw = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, read_only->get(), 0);
  ASSERT_NE(raw, MAP_FAILED);
  EXPECT_EQ(::mprotect(raw, 4096, PROT_READ | PROT_WRITE), -1);
  ::munmap(raw, 4096);
}

TEST(MemfdTest, DescriptorsDoNotLeakIntoOtherPrograms) {
  const auto fd = CreateMemfd("test", 4096, false);
  const auto read_only = ReopenReadOnly(fd->get());
  EXPECT_NE(::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(::fcntl(read_only->get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST(MappingTest, NeverReachesPastTheEndOfTheFile) {
  const auto fd = CreateMemfd("test", 4096, false);
  const auto mapping = Mapping::Map(fd->get(), 4097, Mapping::Access::kReadOnly);
  ASSERT_FALSE(mapping);
  EXPECT_EQ(mapping.error().code, ErrorCode::kInvalid);
}

TEST(MappingTest, MovesAndUnmapsOnce) {
  const auto fd = CreateMemfd("test", 4096, false);
  Mapping first = Mapping::Map(fd->get(), 4096, Mapping::Access::kReadWrite).value();
  first.data()[0] = std::byte{1};
  Mapping second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): a moved-from mapping is empty
  EXPECT_EQ(second.data()[0], std::byte{1});
  Mapping third = Mapping::Map(fd->get(), 4096, Mapping::Access::kReadOnly).value();
  third = std::move(second);
  EXPECT_EQ(third.data()[0], std::byte{1});
}

class NamedSegmentTest : public testing::Test {
 protected:
  NamedSegmentTest() : name_(StrCat("raylet-test-", ::getpid())) { UnlinkNamedSegment(name_); }
  ~NamedSegmentTest() override { UnlinkNamedSegment(name_); }
  const std::string name_;
};

TEST_F(NamedSegmentTest, IsFoundByItsNameAndReadOnlyForReaders) {
  const auto created = CreateNamedSegment(name_, 4096);
  ASSERT_TRUE(created) << created.error().message;
  Mapping::Map(created->get(), 4096, Mapping::Access::kReadWrite)->data()[7] = std::byte{9};
  const auto opened = OpenNamedSegmentReadOnly(name_);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(Mapping::Map(opened->get(), 4096, Mapping::Access::kReadOnly)->data()[7], std::byte{9});
  EXPECT_FALSE(Mapping::Map(opened->get(), 4096, Mapping::Access::kReadWrite));
  struct stat status {};
  ASSERT_EQ(::fstat(opened->get(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST_F(NamedSegmentTest, AnExistingNameIsNotReplaced) {
  const auto first = CreateNamedSegment(name_, 4096);
  ASSERT_TRUE(first);
  const auto second = CreateNamedSegment(name_, 4096);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kAlreadyExists);
}

TEST_F(NamedSegmentTest, AnAbsentOneIsNotFoundAndABadNameIsInvalid) {
  EXPECT_EQ(OpenNamedSegmentReadOnly(name_).error().code, ErrorCode::kNotFound);
  for (const char* bad : {"", ".", "..", "a/b", "../etc/passwd"}) {
    EXPECT_EQ(OpenNamedSegmentReadOnly(bad).error().code, ErrorCode::kInvalid) << bad;
    EXPECT_EQ(CreateNamedSegment(bad, 4096).error().code, ErrorCode::kInvalid) << bad;
  }
}

TEST(MappingTest, AForkedChildInheritsOnlyWhatCannotBeWritten) {
  const auto fd = CreateMemfd("test", 4096, false);
  const auto read_only_fd = ReopenReadOnly(fd->get());
  auto writable = Mapping::Map(fd->get(), 4096, Mapping::Access::kReadWrite);
  const auto read_only = Mapping::Map(read_only_fd->get(), 4096, Mapping::Access::kReadOnly);
  ASSERT_TRUE(writable && read_only);
  *writable->As<char>() = 'x';
  const auto is_there = [](const Mapping& mapping) { return ::msync(mapping.data(), mapping.size(), MS_ASYNC) == 0; };
  EXPECT_TRUE(is_there(*writable));
  Child child([&] {
    if (is_there(*writable)) return 1;
    if (*read_only->As<char>() != 'x') return 2;
    // A mapping that the child makes there is its own, and stays when the inherited object goes.
    std::byte* const place = writable->data();
    void* const own = ::mmap(place, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (own != place) return 3;
    *writable = Mapping();
    return ::msync(place, 4096, MS_ASYNC) == 0 ? 0 : 4;
  });
  EXPECT_EQ(child.Wait(), 0);
  EXPECT_TRUE(is_there(*writable));
  EXPECT_EQ(*writable->As<char>(), 'x');
}

TEST_F(NamedSegmentTest, LockShowsThatTheCreatorWasKilled) {
  auto [reading, writing] = Pipe();
  const int out = writing.get();
  Child child([this, out] {
    const auto segment = CreateNamedSegment(name_, 4096);
    if (!segment || ::write(out, "x", 1) != 1) return 1;
    for (;;) ::pause();
  });
  writing.Reset();
  char ready = 0;
  ASSERT_EQ(::read(reading.get(), &ready, 1), 1);
  const auto opened = OpenNamedSegmentReadOnly(name_);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_TRUE(LockedByOwner(opened->get()));
  EXPECT_TRUE(LockedByOwner(opened->get())) << "asking must not take the lock away";
  child.Kill();
  EXPECT_FALSE(LockedByOwner(opened->get()));
}

TEST_F(NamedSegmentTest, TheCreatorMayAskAboutItsOwnLock) {
  auto created = CreateNamedSegment(name_, 4096);
  const auto opened = OpenNamedSegmentReadOnly(name_);
  EXPECT_TRUE(LockedByOwner(created->get()));
  EXPECT_TRUE(LockedByOwner(opened->get()));
  created->Reset();
  EXPECT_FALSE(LockedByOwner(opened->get()));
}

}  // namespace
}  // namespace raylet
