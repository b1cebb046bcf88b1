#include "store/spill_target.h"

#include <limits>
#include <string_view>

#include "base/strings.h"

namespace raylet::store {
namespace {

tl::unexpected<Error> Wrong(const std::string& what) { return Fail(ErrorCode::kInvalid, what); }

// The folder of "file:///folder".
Result<std::string> FolderOf(std::string_view external_store) {
  constexpr std::string_view kSeparator = "://", kRemedy = "say -e file:///FOLDER";
  const size_t at = external_store.find(kSeparator);
  if (at == std::string_view::npos)
    return Wrong(StrCat("-e \"", external_store, "\" names no external store: ", kRemedy));
  if (external_store.substr(0, at) != "file")
    return Wrong(StrCat("-e \"", external_store, "\": plasma_store has no external store of the kind ",
                        external_store.substr(0, at), "://: ", kRemedy));
  const std::string_view folder = external_store.substr(at + kSeparator.size());
  if (!folder.starts_with('/'))
    return Wrong(StrCat("-e \"", external_store, "\" names no absolute folder: ", kRemedy, ", with three slashes"));
  return std::string(folder);
}

}  // namespace

Result<std::optional<SpillTarget>> ReadSpillFlags(const std::string& spill_dir, const std::string& external_store,
                                                  const std::string& spill_max) {
  const bool spills = !spill_dir.empty() || !external_store.empty();
  if (!spill_max.empty() && !spills)
    return Wrong("--spill-max bounds what lies in the folder of --spill-dir or -e: say one of them, too");
  if (!spills) return std::nullopt;
  if (!spill_dir.empty() && !external_store.empty())
    return Wrong("-e writes all objects to its folder, and --spill-dir those that may not be evicted: say one of them");
  SpillTarget target{.folder = spill_dir,
                     .what = SpillWhat::kOwned,
                     .flag = "--spill-dir",
                     .bytes_max = std::numeric_limits<uint64_t>::max()};
  if (!external_store.empty()) {
    auto folder = FolderOf(external_store);
    if (!folder) return Fail(folder.error());
    target.folder = *std::move(folder);
    target.what = SpillWhat::kAll;
    target.flag = "-e";
  }
  if (!spill_max.empty()) {
    const auto bytes_max = ParseBytes(spill_max);
    if (!bytes_max)
      return Wrong(StrCat("--spill-max \"", spill_max,
                          "\" is no amount: say a number above zero of bytes, or with K, M ",
                          "or G, such as 512M or 1G"));
    target.bytes_max = *bytes_max;
  }
  return target;
}

}  // namespace raylet::store
