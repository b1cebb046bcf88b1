// LastWord: why the raylet ended a process's connection, written into the page of that process's doorbell. The socket
// of a process that does not read is full and takes no frame, so the reason cannot go there.
// Always holds: the raylet writes it before it closes the socket, and the process reads it after the socket's end. So
// the process never reads half of it.
#pragma once

#include <optional>
#include <span>

#include "base/result.h"
#include "base/waiter.h"

namespace raylet {

constexpr size_t kDoorbellPageBytes = 4096;
constexpr size_t kLastWordOffset = sizeof(Doorbell);
constexpr size_t kLastWordTextBytesMax = 1024;

struct LastWord {
  uint32_t code;  // an ErrorCode; 0: there is no last word
  uint32_t text_bytes;
  char text[kLastWordTextBytesMax];
};
static_assert(sizeof(LastWord) == 8 + kLastWordTextBytesMax);
static_assert(kLastWordOffset + sizeof(LastWord) <= kDoorbellPageBytes);

// `doorbell` is the memory that came with Register. Writes nothing where that memory has no room
// behind the Doorbell.
Result<void> LeaveLastWord(int doorbell, const Error& reason);
// Nothing where there is no last word, or one that makes no sense.
std::optional<Error> ReadLastWord(std::span<const std::byte> doorbell_page);

}  // namespace raylet
