#include "client/parameter_server/checkpoint.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include <ray/api/exceptions.h>

namespace ray::ps::internal {
namespace {

using ray::internal::RayException;

constexpr std::array<char, 8> kMagic = {'R', 'A', 'Y', 'P', 'S', 'C', 'K', '1'};
constexpr size_t kWriteBytes = size_t{8} << 20;  // of one system call

struct Head {
  std::array<char, 8> magic = kMagic;
  CheckpointOf of;
};
static_assert(sizeof(Head) == 104, "the head is written as it is");

[[noreturn]] void ThrowErrno(const std::string& what, const std::string& file) {
  const int error = errno;
  throw RayException(what + " " + file + ": " + std::strerror(error));
}

class File {
 public:
  File(std::string name, int flags) : name_(std::move(name)), fd_(::open(name_.c_str(), flags | O_CLOEXEC, 0644)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  bool open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  const std::string& name() const { return name_; }

  void Write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), std::min(bytes.size(), kWriteBytes));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) ThrowErrno("cannot write the checkpoint", name_);
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
  }
  // The number of bytes read: fewer at the end of the file alone.
  size_t Read(std::span<std::byte> bytes) {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t got = ::read(fd_, bytes.data() + done, std::min(bytes.size() - done, kWriteBytes));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) ThrowErrno("cannot read the checkpoint", name_);
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

 private:
  const std::string name_;
  const int fd_;
};

using HashState = std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)>;
HashState NewHash() {
  HashState state(XXH3_createState(), XXH3_freeState);
  XXH3_64bits_reset(state.get());
  return state;
}

template <class Value>
std::span<const std::byte> BytesOf(const Value& value) {
  return std::as_bytes(std::span<const Value, 1>(&value, 1));
}

const char* TypeName(uint64_t element_bytes) { return element_bytes == sizeof(float) ? "float" : "double"; }

// "3 floats of shard 0 of 1 with …", "3 rows by string of 4 floats of shard …".
std::string TextOf(const CheckpointOf& of) {
  std::string rows;
  if (of.keys != CheckpointOf::kNoKeys)
    rows = std::string(of.keys == CheckpointOf::kStringKeys ? " rows by string of " : " rows by integer of ") +
           std::to_string(of.row_size);
  return std::to_string(of.size) + rows + " " + TypeName(of.element_bytes) + "s of shard " + std::to_string(of.shard) +
         " of " + std::to_string(of.shards) + " with optimizer " + std::to_string(of.optimizer) + " and " +
         std::to_string(of.slots) + " arrays of its state";
}

// Throws where the file does not begin like a checkpoint.
Head ReadHead(File& in) {
  Head head;
  const size_t got = in.Read(std::as_writable_bytes(std::span<Head, 1>(&head, 1)));
  if (got < sizeof head.magic || head.magic != kMagic)
    throw RayException(in.name() + " is no checkpoint of a parameter server");
  if (got != sizeof head)
    throw RayException("the checkpoint " + in.name() + " has " + std::to_string(got) + " bytes, and its head has " +
                       std::to_string(sizeof head) + ": it is truncated or damaged");
  return head;
}

std::string FolderOf(const std::string& file) {
  const size_t slash = file.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : file.substr(0, slash);
}

}  // namespace

std::string CheckpointPath(const std::string& path, uint64_t shard, uint64_t shards) {
  return path + ".shard-" + std::to_string(shard) + "-of-" + std::to_string(shards);
}

void WriteCheckpoint(const std::string& file, const CheckpointOf& of,
                     const std::vector<std::span<const std::byte>>& parts) {
  const std::string beside = file + ".new";
  try {
    File out(beside, O_WRONLY | O_CREAT | O_TRUNC);
    if (!out.open()) ThrowErrno("cannot create the checkpoint", beside);
    const HashState hash = NewHash();
    Head head;
    head.of = of;
    const auto write = [&](std::span<const std::byte> bytes) {
      XXH3_64bits_update(hash.get(), bytes.data(), bytes.size());
      out.Write(bytes);
    };
    write(BytesOf(head));
    for (const auto part : parts) write(part);
    const uint64_t sum = XXH3_64bits_digest(hash.get());
    out.Write(BytesOf(sum));
    if (::fsync(out.fd()) != 0) ThrowErrno("cannot flush the checkpoint", beside);
    if (::rename(beside.c_str(), file.c_str()) != 0) ThrowErrno("cannot rename the checkpoint to", file);
  } catch (...) {
    ::unlink(beside.c_str());
    throw;
  }
  const File folder(FolderOf(file), O_RDONLY | O_DIRECTORY);
  if (!folder.open() || ::fsync(folder.fd()) != 0) ThrowErrno("cannot flush the folder of the checkpoint", file);
}

void CheckShape(const std::string& file, const CheckpointOf& head, const CheckpointOf& wanted) {
  CheckpointOf shape = head;
  shape.run = wanted.run;
  shape.version = wanted.version;
  shape.steps = wanted.steps;
  shape.key_bytes = wanted.key_bytes;
  if (shape != wanted)
    throw RayException("the checkpoint " + file + " holds " + TextOf(head) + ", and " + TextOf(wanted) +
                       " were expected");
}

void CheckFileSize(const std::string& file, uint64_t key_bytes, uint64_t rows, uint64_t row_bytes) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) ThrowErrno("cannot look at the checkpoint", file);
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(rows, row_bytes, &bytes) || __builtin_add_overflow(bytes, key_bytes, &bytes) ||
      __builtin_add_overflow(bytes, sizeof(Head) + sizeof(uint64_t), &bytes) ||
      static_cast<uint64_t>(status.st_size) != bytes)
    throw RayException("the checkpoint " + file + " has " + std::to_string(status.st_size) +
                       " bytes, and its head says " + std::to_string(rows) + " rows and " + std::to_string(key_bytes) +
                       " bytes of keys: it is truncated or damaged");
}

CheckpointOf ReadCheckpoint(const std::string& file, const CheckpointOf& wanted,
                            const std::vector<std::span<std::byte>>& parts) {
  File in(file, O_RDONLY);
  if (!in.open()) ThrowErrno("cannot open the checkpoint", file);
  const Head head = ReadHead(in);
  CheckShape(file, head.of, wanted);
  size_t bytes = sizeof head + sizeof(uint64_t);
  for (const auto part : parts) bytes += part.size();
  struct stat status {};
  if (::fstat(in.fd(), &status) != 0) ThrowErrno("cannot look at the checkpoint", file);
  if (static_cast<size_t>(status.st_size) != bytes)
    throw RayException("the checkpoint " + file + " has " + std::to_string(status.st_size) + " bytes, and " +
                       std::to_string(bytes) + " were expected: it is truncated or damaged");
  const HashState hash = NewHash();
  XXH3_64bits_update(hash.get(), &head, sizeof head);
  for (const auto part : parts) {
    if (in.Read(part) != part.size()) throw RayException("the checkpoint " + file + " ended while it was read");
    XXH3_64bits_update(hash.get(), part.data(), part.size());
  }
  uint64_t sum = 0;
  if (in.Read(std::as_writable_bytes(std::span<uint64_t, 1>(&sum, 1))) != sizeof sum ||
      sum != XXH3_64bits_digest(hash.get()))
    throw RayException("the checkpoint " + file + " is damaged: its checksum is not that of its content");
  return head.of;
}

bool ReadCheckpointHead(const std::string& file, CheckpointOf& of) {
  File in(file, O_RDONLY);
  if (!in.open()) return false;
  Head head;
  if (in.Read(std::as_writable_bytes(std::span<Head, 1>(&head, 1))) != sizeof head || head.magic != kMagic)
    return false;
  of = head.of;
  return true;
}

UpdateCount::UpdateCount(const std::string& file) {
  const File counts(file, O_RDWR | O_CREAT);
  if (!counts.open()) ThrowErrno("cannot open the count of updates", file);
  if (::ftruncate(counts.fd(), sizeof(Counts)) != 0) ThrowErrno("cannot make room for the count of updates", file);
  void* const memory = ::mmap(nullptr, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED, counts.fd(), 0);
  if (memory == MAP_FAILED) ThrowErrno("cannot map the count of updates", file);
  counts_ = static_cast<Counts*>(memory);
}

UpdateCount::UpdateCount(UpdateCount&& other) noexcept : counts_(std::exchange(other.counts_, nullptr)) {}

UpdateCount& UpdateCount::operator=(UpdateCount&& other) noexcept {
  std::swap(counts_, other.counts_);
  return *this;
}

UpdateCount::~UpdateCount() {
  if (counts_ != nullptr) ::munmap(counts_, sizeof(Counts));
}

}  // namespace ray::ps::internal
