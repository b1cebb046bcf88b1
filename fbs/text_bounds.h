// Bounds of the texts in messages and records: names, and the texts of failures. A name above its
// bound is refused, because a cut name would name something else. A failure's text is cut, because
// its beginning still helps. Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"

namespace raylet {

namespace wire {
struct Failure;
struct FailureT;
}  // namespace wire

constexpr size_t kNameBytesMax = 1024;  // of a task, a function, an actor, a namespace
// kInvalid above it. `what`: "a task's name".
Result<void> CheckName(const char* what, std::string_view name);

// Of a failure. Its message may quote the other texts.
constexpr size_t kFailureTextBytesMax = size_t{16} << 10;
constexpr size_t kFailureMessageBytesMax = size_t{48} << 10;
// The bound of a failure's texts together, and of the encoded failure. Raylets may add some words to a failure that was
// cut.
constexpr size_t kFailureBytesMax = size_t{128} << 10;
static_assert(kFailureMessageBytesMax + 4 * kFailureTextBytesMax < kFailureBytesMax);

// The text if it has at most this many bytes. Otherwise its beginning, with a note of its size.
std::string Shortened(std::string text, size_t bytes_max);
// Cuts each text of the failure to its bound. Code that makes or passes on a failure calls it before encoding.
void Shorten(wire::FailureT& failure);
size_t TextBytes(const wire::FailureT& failure);
size_t TextBytes(const wire::Failure& failure);

}  // namespace raylet
