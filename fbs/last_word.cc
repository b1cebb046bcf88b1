#include "fbs/last_word.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/shm_segment.h"

namespace raylet {

Result<void> LeaveLastWord(int doorbell, const Error& reason) {
  const auto size = FileSize(doorbell);
  if (!size) return Fail(size.error());
  if (*size < kLastWordOffset + sizeof(LastWord)) return {};
  LastWord word{};
  word.code = static_cast<uint32_t>(reason.code);
  word.text_bytes = static_cast<uint32_t>(std::min(reason.message.size(), kLastWordTextBytesMax));
  std::memcpy(word.text, reason.message.data(), word.text_bytes);
  const ssize_t written = ::pwrite(doorbell, &word, sizeof word, kLastWordOffset);
  if (written != static_cast<ssize_t>(sizeof word)) return FailErrno("a last word in a doorbell's page", errno);
  return {};
}

std::optional<Error> ReadLastWord(std::span<const std::byte> doorbell_page) {
  if (doorbell_page.size() < kLastWordOffset + sizeof(LastWord)) return std::nullopt;
  LastWord word;
  std::memcpy(&word, doorbell_page.data() + kLastWordOffset, sizeof word);
  if (word.code == 0 || word.code > static_cast<uint32_t>(ErrorCode::kUnavailable)) return std::nullopt;
  if (word.text_bytes > kLastWordTextBytesMax) return std::nullopt;
  return Error{static_cast<ErrorCode>(word.code), std::string(word.text, word.text_bytes)};
}

}  // namespace raylet
