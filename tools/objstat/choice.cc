#include "tools/objstat/choice.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "base/strings.h"
#include "tools/objstat/text.h"

namespace raylet::objstat {

Result<std::string> CheckIdText(const std::string& text) {
  constexpr size_t kDigits = 2 * ObjectId::kSize;
  std::string digits = text;
  std::ranges::transform(digits, digits.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const bool hex = std::ranges::all_of(digits, [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (!hex || digits.size() < kDigitsMin || digits.size() > kDigits)
    return Fail(ErrorCode::kInvalid,
                StrCat("'", Printable(text), "' is no object id: say its ", kDigits,
                       " hexadecimal digits, or the first ", kDigitsMin, " or more of them; objstat ls shows the ids"));
  return digits;
}

Result<const Object*> ChooseObject(const Snapshot& snapshot, const std::string& digits) {
  std::vector<const Object*> found;
  for (const Object& object : snapshot.objects) {
    if (!object.id.hex().starts_with(digits)) continue;
    const auto same = std::ranges::find_if(found, [&](const Object* other) { return other->id == object.id; });
    if (same == found.end())
      found.push_back(&object);
    else if ((*same)->place == Place::kDying)
      *same = &object;
  }
  if (found.size() == 1) return found.front();
  if (found.empty())
    return Fail(ErrorCode::kNotFound,
                StrCat("no object whose id begins with ", digits, " is in the store: objstat why ", digits,
                       " says more, objstat ls shows those that are"));
  return Fail(ErrorCode::kInvalid, StrCat(found.size(), " ids begin with ", digits, ", such as ", found[0]->id.hex(),
                                          " and ", found[1]->id.hex(), ": say more digits"));
}

std::string ClientText(const Snapshot& snapshot, uint32_t number) {
  const Client* client = snapshot.FindClient(number);
  if (client == nullptr) return StrCat("client ", number, ", which has ended");
  const std::string name = Printable(client->name), program = Printable(client->program);
  const bool other = !program.empty() && program != name;
  std::string text = StrCat(name.empty() ? StrCat("client ", number) : name, " (pid ", client->pid);
  if (other) text += StrCat(", ", program);
  if (!client->alive) text += ", which has ended";
  if (client->stopped) text += ", which is stopped";
  return text + ")";
}

}  // namespace raylet::objstat
