// docs/objstat.md and the JSON that objstat prints name the same fields, with the same types.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/strings.h"
#include "tests/tools/objstat_fixture.h"

namespace raylet::objstat {
namespace {

using nlohmann::json;
using Fields = std::map<std::string, std::set<std::string>>;  // a field's types

// The tables of the page: "### `objstat VERB --json`", then "| `field` | type or type | meaning |".
std::map<std::string, Fields> Documented() {
  std::map<std::string, Fields> verbs;
  std::ifstream page(OBJSTAT_DOC);
  std::string verb;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("#")) verb = line.find("--json`") == std::string::npos ? "" : line;
    if (verb.empty() || !line.starts_with("| `")) continue;
    const size_t name_end = line.find("` | "), type_end = line.find(" | ", name_end + 4);
    std::set<std::string> types;
    std::string rest = line.substr(name_end + 4, type_end - name_end - 4);
    for (size_t at; (at = rest.find(" or ")) != std::string::npos; rest = rest.substr(at + 4))
      types.insert(rest.substr(0, at));
    types.insert(rest);
    verbs[verb.substr(4)][line.substr(3, name_end - 3)] = types;
  }
  return verbs;
}

std::string TypeOf(const json& value) {
  if (value.is_number_integer()) return "integer";
  if (value.is_number()) return "number";
  return value.type_name();  // string, boolean, object, null
}

// An object counts as a field where the page says so, and its own fields where the page has those.
void Collect(const json& value, const std::string& path, const Fields& documented, Fields& out) {
  if (const auto it = documented.find(path); it != documented.end()) out[path].insert(TypeOf(value));
  const auto has_parts = [&](const std::string& prefix) {
    const auto it = documented.lower_bound(prefix);
    return it != documented.end() && it->first.starts_with(prefix);
  };
  if (value.is_object()) {
    const bool opaque = documented.contains(path) && !has_parts(path + ".");
    if (opaque) return;
    for (const auto& [key, part] : value.items()) Collect(part, path.empty() ? key : path + "." + key, documented, out);
  } else if (value.is_array()) {
    for (const json& part : value) Collect(part, path + "[]", documented, out);
  } else if (!documented.contains(path)) {
    out[path].insert(TypeOf(value));
  }
}

class ObjstatJsonTest : public ObjstatTest {
 protected:
  json Output(std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), {"--json", "-s", socket_});
    const std::string text = Run(arguments).first;
    const json value = json::parse(text, nullptr, false);
    EXPECT_FALSE(value.is_discarded()) << text;
    return value;
  }
};

TEST_F(ObjstatJsonTest, EveryFieldIsDocumentedAndEveryDocumentedFieldExists) {
  FillAll();
  auto arena = CreateMemfd(kArenaName, header().arena_bytes, false);
  ASSERT_TRUE(arena) << arena.error().message;
  Event full{.kind = EventKind::kFull, .bytes = kMiB};
  full.held_as = HeldAs::kOwned;
  full.holder_bytes = 5;
  Happen(1, full);
  Happen(2, {.kind = EventKind::kEvicted, .objects = 1});
  AddSpilled(DiskWord({.file = 3, .row = 1}), kMiB);
  const std::string pinned = Output({"ls", "--state", "pinned"})[0]["id"];
  const std::string spilled = Output({"ls", "--state", "spilled"})[0]["id"];

  const std::map<std::string, std::vector<std::string>> commands = {
      {"`objstat --json`", {}},
      {"`objstat show --json`", {"show", pinned}},
      {"`objstat clients --json`", {"clients"}},
      {"`objstat pins --json`", {"pins"}},
      {"`objstat arena --json`", {"arena"}},
      {"`objstat why --json`", {"why", pinned}},
      {"`objstat top --json`", {"top", "--interval", "0.1"}},
      {"`objstat sizes --json`", {"sizes"}},
      {"`objstat events --json`", {"events"}},
      {"`objstat leaks --json`", {"leaks", "--older", "0s"}},
      {"`objstat verify --json`", {"verify"}},
      {"`objstat doctor --json`", {"doctor"}},
  };
  const std::map<std::string, Fields> documented = Documented();
  std::map<std::string, Fields> printed;
  const auto look = [&] {
    for (const auto& [verb, arguments] : commands) {
      const auto it = documented.find(verb);
      ASSERT_NE(it, documented.end()) << verb << " has no table";
      Collect(Output(arguments), "", it->second, printed[verb]);
    }
  };
  look();
  Collect(Output({"show", spilled}), "", documented.at("`objstat show --json`"), printed["`objstat show --json`"]);
  AddAt(60 * kMiB, EntryState::kSealed, kMiB);  // a run lies before it
  header().counters.sealed_bytes += 1;          // now something is wrong, and is said
  look();

  EXPECT_EQ(documented.size(), commands.size()) << "a table of a subcommand that this test does not know";
  for (const auto& [verb, fields] : printed) {
    for (const auto& [field, types] : fields) {
      const auto it = documented.at(verb).find(field);
      ASSERT_NE(it, documented.at(verb).end()) << verb << ": " << field << " is not documented";
      for (const std::string& type : types)
        EXPECT_TRUE(it->second.contains(type)) << verb << ": " << field << " is " << type;
    }
    for (const auto& [field, types] : documented.at(verb)) {
      const auto it = fields.find(field);
      ASSERT_NE(it, fields.end()) << verb << ": nobody prints " << field;
      EXPECT_FALSE(it->second == std::set<std::string>{"null"}) << verb << ": " << field << " was null only";
    }
  }
}

}  // namespace
}  // namespace raylet::objstat
