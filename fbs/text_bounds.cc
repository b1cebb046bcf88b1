#include "fbs/text_bounds.h"

#include <algorithm>

#include "base/strings.h"
#include "fbs/raylet_generated.h"

namespace raylet {

Result<void> CheckName(const char* what, std::string_view name) {
  if (name.size() <= kNameBytesMax) return {};
  return Fail(ErrorCode::kInvalid,
              StrCat(what, " has ", name.size(), " bytes and the limit is ", kNameBytesMax, ": choose a shorter one"));
}

std::string Shortened(std::string text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  const std::string note = StrCat("... (", text.size(), " bytes in all)");
  text.resize(bytes_max - std::min(bytes_max, note.size()));  // a text that was cut once is not cut again
  return text + note;
}

void Shorten(wire::FailureT& failure) {
  for (std::string* const text : {&failure.function, &failure.exception_type, &failure.what, &failure.hint})
    *text = Shortened(std::move(*text), kFailureTextBytesMax);
  failure.message = Shortened(std::move(failure.message), kFailureMessageBytesMax);
}

size_t TextBytes(const wire::FailureT& failure) {
  return failure.message.size() + failure.function.size() + failure.exception_type.size() + failure.what.size() +
         failure.hint.size();
}

size_t TextBytes(const wire::Failure& failure) {
  return failure.message()->size() + failure.function()->size() + failure.exception_type()->size() +
         failure.what()->size() + failure.hint()->size();
}

}  // namespace raylet
