// The words of a text, and the mails of a folder.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace example {

// Runs of letters, digits, and $ ! ' - within them, in small letters, of 2 to 25 characters. Other bytes separate
// words.
std::vector<std::string> WordsOf(std::string_view text);

// The different words of a mail: those of its subject with "subject:" before them, and those of its body. The other
// header lines are left out, since they say who collected the mails.
std::vector<std::string> WordsOfMail(std::string_view mail);

}  // namespace example
