#include "server/command/demo_words.h"

namespace syncline::server::command {
namespace {

// clang-format off
constexpr demo_name kGivenEn[] = {
    {"James", "james"}, {"Mary", "mary"}, {"Robert", "robert"}, {"Linda", "linda"},
    {"Grace", "grace"}, {"Daniel", "daniel"}, {"Olivia", "olivia"}, {"Noah", "noah"},
    {"Aisha", "aisha"}, {"Tyler", "tyler"}};
constexpr demo_name kFamilyEn[] = {
    {"Smith", "smith"}, {"Johnson", "johnson"}, {"Brown", "brown"}, {"Davis", "davis"},
    {"O'Connor", "oconnor"}, {"Walker", "walker"}, {"Nguyen", "nguyen"}, {"Carter", "carter"},
    {"Price", "price"}, {"Hughes", "hughes"}};
constexpr std::string_view kCitiesEn[] = {
    "Chicago", "Portland", "Austin", "Boston", "Saint Paul", "Albuquerque"};
constexpr std::string_view kSentencesEn[] = {
    "I run a small food bank with my neighbours.", "Coffee first, then everything else.",
    "Marathons for clean water since 2014 🏃.", "Retired teacher, busy gardener.",
    "Two kids, three dogs, one very old piano.", "I give a little every month."};

constexpr demo_name kGivenDe[] = {
    {"Anna", "anna"}, {"Jürgen", "juergen"}, {"Lukas", "lukas"}, {"Käthe", "kaethe"},
    {"Sören", "soeren"}, {"Mia", "mia"}, {"Björn", "bjoern"}, {"Lena", "lena"}, {"Heike", "heike"},
    {"Paul", "paul"}};
constexpr demo_name kFamilyDe[] = {
    {"Müller", "mueller"}, {"Schäfer", "schaefer"}, {"Weiß", "weiss"}, {"Vogel", "vogel"},
    {"Krüger", "krueger"}, {"Lang", "lang"}, {"Böhm", "boehm"}, {"Fuchs", "fuchs"},
    {"Straßer", "strasser"}, {"Roth", "roth"}};
constexpr std::string_view kCitiesDe[] = {
    "Köln", "München", "Leipzig", "Würzburg", "Gießen", "Lübeck"};
constexpr std::string_view kSentencesDe[] = {
    "Ich helfe am Wochenende im Tierheim.", "Kaffee, Fahrrad, Chorprobe.",
    "Lehrerin aus Überzeugung.", "Wir bauen Brunnen, Stück für Stück.",
    "Großvater von fünf Enkeln.", "Lieber gleich als später."};

constexpr demo_name kGivenFr[] = {
    {"Chloé", "chloe"}, {"Hélène", "helene"}, {"François", "francois"}, {"Zoë", "zoe"},
    {"Noël", "noel"}, {"Inès", "ines"}, {"Gaël", "gael"}, {"Léa", "lea"}, {"Jérôme", "jerome"},
    {"Élodie", "elodie"}};
constexpr demo_name kFamilyFr[] = {
    {"Lefèvre", "lefevre"}, {"Dubois", "dubois"}, {"Garçon", "garcon"}, {"Moreau", "moreau"},
    {"Béranger", "beranger"}, {"Petit", "petit"}, {"Château", "chateau"}, {"Rousseau", "rousseau"},
    {"Noiret", "noiret"}, {"Lacroix", "lacroix"}};
constexpr std::string_view kCitiesFr[] = {
    "Besançon", "Nîmes", "Lyon", "Orléans", "Angoulême", "Brest"};
constexpr std::string_view kSentencesFr[] = {
    "J'aime les marchés et les longues marches.", "Bénévole depuis dix ans déjà.",
    "Chaque euro compte, chaque geste aussi.", "Maman de trois garçons.",
    "Un peu de musique, beaucoup de thé.", "À bientôt sur les chemins !"};

constexpr demo_name kGivenEs[] = {
    {"José", "jose"}, {"Lucía", "lucia"}, {"Ramón", "ramon"}, {"Begoña", "begona"},
    {"Íñigo", "inigo"}, {"Sofía", "sofia"}, {"Andrés", "andres"}, {"Ximena", "ximena"},
    {"Ángel", "angel"}, {"Noelia", "noelia"}};
constexpr demo_name kFamilyEs[] = {
    {"Muñoz", "munoz"}, {"García", "garcia"}, {"Peña", "pena"}, {"Núñez", "nunez"},
    {"López", "lopez"}, {"Ibáñez", "ibanez"}, {"Castro", "castro"}, {"Rosales", "rosales"},
    {"Gómez", "gomez"}, {"Vega", "vega"}};
constexpr std::string_view kCitiesEs[] = {
    "Mérida", "León", "Cancún", "Querétaro", "Oaxaca", "Mazatlán"};
constexpr std::string_view kSentencesEs[] = {
    "¿Quién dijo que no se puede?", "Me gusta cocinar para muchos.",
    "Maestra de primaria y madrina de dos becas.", "Juntos llegamos más lejos.",
    "Fútbol los domingos, siempre.", "Ayudo donde puedo."};

constexpr demo_name kGivenPt[] = {
    {"João", "joao"}, {"Conceição", "conceicao"}, {"Luís", "luis"}, {"Antônia", "antonia"},
    {"Caetano", "caetano"}, {"Íris", "iris"}, {"Fábio", "fabio"}, {"Letícia", "leticia"},
    {"Davi", "davi"}, {"Mônica", "monica"}};
constexpr demo_name kFamilyPt[] = {
    {"Simões", "simoes"}, {"Araújo", "araujo"}, {"Gonçalves", "goncalves"}, {"Pereira", "pereira"},
    {"Brandão", "brandao"}, {"Souza", "souza"}, {"Falcão", "falcao"}, {"Lima", "lima"},
    {"Assunção", "assuncao"}, {"Rocha", "rocha"}};
constexpr std::string_view kCitiesPt[] = {
    "São Luís", "Belém", "Goiânia", "Maceió", "Florianópolis", "Recife"};
constexpr std::string_view kSentencesPt[] = {
    "Amo o mar e as pessoas.", "Doações pequenas, mudanças grandes.",
    "Professor de violão nas horas vagas.", "Avó coruja e voluntária.",
    "Cada gota ajuda a encher o balde.", "Sempre de bicicleta 🚲."};

constexpr demo_name kGivenPl[] = {
    {"Łukasz", "lukasz"}, {"Małgorzata", "malgorzata"}, {"Zofia", "zofia"},
    {"Wojciech", "wojciech"}, {"Bożena", "bozena"}, {"Jędrzej", "jedrzej"}, {"Ewa", "ewa"},
    {"Michał", "michal"}, {"Agnieszka", "agnieszka"}, {"Tomasz", "tomasz"}};
constexpr demo_name kFamilyPl[] = {
    {"Wójcik", "wojcik"}, {"Dąbrowska", "dabrowska"}, {"Zięba", "zieba"}, {"Nowak", "nowak"},
    {"Śliwa", "sliwa"}, {"Kaczmarek", "kaczmarek"}, {"Gałązka", "galazka"}, {"Żuraw", "zuraw"},
    {"Lis", "lis"}, {"Piątek", "piatek"}};
constexpr std::string_view kCitiesPl[] = {
    "Łódź", "Kraków", "Gdańsk", "Poznań", "Rzeszów", "Toruń"};
constexpr std::string_view kSentencesPl[] = {
    "Lubię góry i dobrą herbatę.", "Pomagam w schronisku dla psów.",
    "Każda złotówka ma znaczenie.", "Mama, biegaczka, księgowa.", "Razem możemy więcej.",
    "Zażółć gęślą jaźń."};

constexpr demo_name kGivenUk[] = {
    {"Олена", "olena"}, {"Тарас", "taras"}, {"Соломія", "solomiia"}, {"Богдан", "bohdan"},
    {"Юлія", "yuliia"}, {"Остап", "ostap"}, {"Ірина", "iryna"}, {"Андрій", "andrii"},
    {"Дарина", "daryna"}, {"Єва", "yeva"}};
constexpr demo_name kFamilyUk[] = {
    {"Шевчук", "shevchuk"}, {"Коваль", "koval"}, {"Бондар", "bondar"}, {"Мельник", "melnyk"},
    {"Гриценко", "hrytsenko"}, {"Савчук", "savchuk"}, {"Їжак", "yizhak"}, {"Литвин", "lytvyn"},
    {"Ткач", "tkach"}, {"Поліщук", "polishchuk"}};
constexpr std::string_view kCitiesUk[] = {
    "Київ", "Львів", "Харків", "Одеса", "Чернівці", "Ужгород"};
constexpr std::string_view kSentencesUk[] = {
    "Допомагаю дітям малювати.", "Волонтерка, мама, велосипедистка.", "Разом до мети.",
    "Люблю Карпати взимку.", "Щодня потроху.", "Пишу листи від руки."};

constexpr demo_name kGivenEl[] = {
    {"Ελένη", "eleni"}, {"Γιώργος", "giorgos"}, {"Δήμητρα", "dimitra"}, {"Νίκος", "nikos"},
    {"Ευαγγελία", "evangelia"}, {"Θανάσης", "thanasis"}, {"Κατερίνα", "katerina"},
    {"Σπύρος", "spyros"}, {"Ιωάννα", "ioanna"}, {"Πέτρος", "petros"}};
constexpr demo_name kFamilyEl[] = {
    {"Παπαδάκη", "papadaki"}, {"Νικολάου", "nikolaou"}, {"Γεωργίου", "georgiou"},
    {"Οικονόμου", "oikonomou"}, {"Βλάχος", "vlachos"}, {"Δήμου", "dimou"},
    {"Λαμπράκης", "lampraki"}, {"Κόκκινος", "kokkinos"}, {"Μακρής", "makris"}, {"Ρήγας", "rigas"}};
constexpr std::string_view kCitiesEl[] = {
    "Αθήνα", "Θεσσαλονίκη", "Πάτρα", "Χανιά", "Ιωάννινα", "Ρόδος"};
constexpr std::string_view kSentencesEl[] = {
    "Αγαπώ τη θάλασσα και τα βιβλία.", "Εθελόντρια στο νησί μας.", "Λίγο λίγο γίνεται πολύ.",
    "Δάσκαλος σε μικρό σχολείο.", "Καφές με θέα.", "Πάμε μαζί."};

constexpr demo_name kGivenAr[] = {
    {"محمد", "mohamed"}, {"فاطمة", "fatma"}, {"أحمد", "ahmed"}, {"مريم", "mariam"},
    {"يوسف", "youssef"}, {"ليلى", "layla"}, {"عمر", "omar"}, {"نور", "nour"}, {"خالد", "khaled"},
    {"سلمى", "salma"}};
constexpr demo_name kFamilyAr[] = {
    {"حسن", "hassan"}, {"الشريف", "elsherif"}, {"منصور", "mansour"}, {"النجار", "elnaggar"},
    {"سليمان", "soliman"}, {"عبدالله", "abdallah"}, {"فوزي", "fawzy"}, {"حداد", "haddad"},
    {"رشيد", "rashid"}, {"زكي", "zaki"}};
constexpr std::string_view kCitiesAr[] = {
    "القاهرة", "الإسكندرية", "أسوان", "الأقصر", "طنطا", "المنصورة"};
constexpr std::string_view kSentencesAr[] = {
    "أحب القراءة والسفر.", "متطوع في مدرسة القرية.", "كل خطوة صغيرة تصنع فرقا.",
    "أم لثلاثة أطفال.", "الماء حياة.", "نعمل معا كل يوم."};

constexpr demo_name kGivenHe[] = {
    {"נועה", "noa"}, {"יוסי", "yossi"}, {"תמר", "tamar"}, {"אורי", "uri"}, {"מיכל", "michal"},
    {"דוד", "david"}, {"רחל", "rachel"}, {"איתן", "eitan"}, {"שירה", "shira"}, {"עמית", "amit"}};
constexpr demo_name kFamilyHe[] = {
    {"כהן", "cohen"}, {"לוי", "levi"}, {"מזרחי", "mizrahi"}, {"פרץ", "peretz"}, {"ביטון", "biton"},
    {"אברהם", "avraham"}, {"פרידמן", "friedman"}, {"שפירא", "shapira"}, {"גולן", "golan"},
    {"דיין", "dayan"}};
constexpr std::string_view kCitiesHe[] = {
    "חיפה", "ירושלים", "באר שבע", "תל אביב", "נצרת", "אילת"};
constexpr std::string_view kSentencesHe[] = {
    "אוהבת ים ומוזיקה.", "מתנדב בגינה הקהילתית.", "כל שקל עוזר.", "סבא לשישה נכדים.",
    "ביחד זה אפשרי.", "קפה ואז הכול."};

constexpr demo_name kGivenHi[] = {
    {"प्रिया", "priya"}, {"अर्जुन", "arjun"}, {"लक्ष्मी", "lakshmi"}, {"राहुल", "rahul"},
    {"अनन्या", "ananya"}, {"विक्रम", "vikram"}, {"सुनीता", "sunita"}, {"कृष्ण", "krishna"},
    {"मीरा", "meera"}, {"आदित्य", "aditya"}};
constexpr demo_name kFamilyHi[] = {
    {"शर्मा", "sharma"}, {"पटेल", "patel"}, {"वर्मा", "verma"}, {"सिंह", "singh"},
    {"गुप्ता", "gupta"}, {"चौधरी", "chaudhary"}, {"मिश्रा", "mishra"}, {"यादव", "yadav"},
    {"जोशी", "joshi"}, {"नायर", "nair"}};
constexpr std::string_view kCitiesHi[] = {
    "मुंबई", "जयपुर", "वाराणसी", "पुणे", "भोपाल", "लखनऊ"};
constexpr std::string_view kSentencesHi[] = {
    "मैं गाँव के स्कूल में पढ़ाती हूँ।", "चाय और किताबें।", "हर छोटा योगदान मायने रखता है।",
    "दादी की रसोई से प्यार।", "पानी बचाओ, जीवन बचाओ।", "रोज़ थोड़ा सा।"};

constexpr demo_name kGivenJa[] = {
    {"陽菜", "hina"}, {"翔太", "shota"}, {"さくら", "sakura"}, {"健一", "kenichi"}, {"美咲", "misaki"},
    {"大輔", "daisuke"}, {"ゆい", "yui"}, {"蓮", "ren"}, {"葵", "aoi"}, {"直樹", "naoki"}};
constexpr demo_name kFamilyJa[] = {
    {"佐藤", "sato"}, {"鈴木", "suzuki"}, {"髙橋", "takahashi"}, {"渡邊", "watanabe"}, {"山本", "yamamoto"},
    {"小林", "kobayashi"}, {"斎藤", "saito"}, {"𠮷田", "yoshida"}, {"清水", "shimizu"}, {"森", "mori"}};
constexpr std::string_view kCitiesJa[] = {
    "札幌", "京都", "福岡", "仙台", "那覇", "金沢"};
constexpr std::string_view kSentencesJa[] = {
    "毎月少しずつ寄付しています。", "犬と暮らす図書館員です。", "山と温泉が好き。", "子ども食堂を手伝っています。", "ラジオ体操は毎朝。", "よろしくお願いします。"};

constexpr demo_name kGivenKo[] = {
    {"민준", "minjun"}, {"서연", "seoyeon"}, {"지우", "jiwoo"}, {"하은", "haeun"}, {"도윤", "doyun"},
    {"수빈", "subin"}, {"예린", "yerin"}, {"현우", "hyunwoo"}, {"은지", "eunji"}, {"태오", "taeo"}};
constexpr demo_name kFamilyKo[] = {
    {"김", "kim"}, {"이", "lee"}, {"박", "park"}, {"최", "choi"}, {"정", "jung"}, {"강", "kang"},
    {"조", "cho"}, {"윤", "yoon"}, {"임", "lim"}, {"한", "han"}};
constexpr std::string_view kCitiesKo[] = {
    "서울", "부산", "전주", "제주", "대구", "강릉"};
constexpr std::string_view kSentencesKo[] = {
    "아이들에게 책을 읽어 줍니다.", "작은 나눔이 큰 변화를 만듭니다.", "주말에는 산에 갑니다.", "고양이 두 마리와 살아요.", "매일 조금씩.",
    "함께하면 멀리 갑니다."};

constexpr demo_name kGivenZh[] = {
    {"伟", "wei"}, {"芳", "fang"}, {"秀英", "xiuying"}, {"子涵", "zihan"}, {"建国", "jianguo"},
    {"欣怡", "xinyi"}, {"磊", "lei"}, {"雨桐", "yutong"}, {"浩然", "haoran"}, {"静", "jing"}};
constexpr demo_name kFamilyZh[] = {
    {"王", "wang"}, {"李", "li"}, {"张", "zhang"}, {"刘", "liu"}, {"陈", "chen"}, {"杨", "yang"},
    {"黄", "huang"}, {"欧阳", "ouyang"}, {"周", "zhou"}, {"吴", "wu"}};
constexpr std::string_view kCitiesZh[] = {
    "北京", "成都", "西安", "昆明", "哈尔滨", "厦门"};
constexpr std::string_view kSentencesZh[] = {
    "每个月捐一点点。", "喜欢爬山和老电影。", "社区图书馆的志愿者。", "水是生命之源。", "两个孩子的妈妈。", "一起走得更远。"};

constexpr demo_name kGivenVi[] = {
    {"Hương", "huong"}, {"Dũng", "dung"}, {"Thảo", "thao"}, {"Đức", "duc"}, {"Ngọc", "ngoc"},
    {"Tuấn", "tuan"}, {"Phượng", "phuong"}, {"Khánh", "khanh"}, {"Mỹ", "my"}, {"Long", "long"}};
constexpr demo_name kFamilyVi[] = {
    {"Nguyễn", "nguyen"}, {"Trần", "tran"}, {"Lê", "le"}, {"Phạm", "pham"}, {"Đặng", "dang"},
    {"Vũ", "vu"}, {"Bùi", "bui"}, {"Hoàng", "hoang"}, {"Đỗ", "do"}, {"Võ", "vo"}};
constexpr std::string_view kCitiesVi[] = {
    "Hà Nội", "Đà Nẵng", "Huế", "Cần Thơ", "Hải Phòng", "Đà Lạt"};
constexpr std::string_view kSentencesVi[] = {
    "Tôi yêu biển và trẻ em.", "Mỗi ngày một việc tốt.", "Cô giáo làng.",
    "Cà phê sữa đá mỗi sáng.", "Góp gió thành bão.", "Cùng nhau đi xa."};

constexpr demo_name kGivenTr[] = {
    {"Ayşe", "ayse"}, {"Çağlar", "caglar"}, {"Gülşen", "gulsen"}, {"İbrahim", "ibrahim"},
    {"Özge", "ozge"}, {"Şükrü", "sukru"}, {"Elif", "elif"}, {"Uğur", "ugur"}, {"Iraz", "iraz"},
    {"Deniz", "deniz"}};
constexpr demo_name kFamilyTr[] = {
    {"Yıldız", "yildiz"}, {"Öztürk", "ozturk"}, {"Çelik", "celik"}, {"Şahin", "sahin"},
    {"Güneş", "gunes"}, {"Doğan", "dogan"}, {"Aydın", "aydin"}, {"Kılıç", "kilic"},
    {"Ünal", "unal"}, {"Işık", "isik"}};
constexpr std::string_view kCitiesTr[] = {
    "İstanbul", "İzmir", "Eskişehir", "Muğla", "Diyarbakır", "Çanakkale"};
constexpr std::string_view kSentencesTr[] = {
    "Sokak kedilerinin dostu.", "Her ay küçük bir destek.", "Öğretmenim ve bisikletçiyim.",
    "Çay, kitap, deniz.", "Birlikte daha güçlüyüz.", "Su hayattır."};

const demo_land kLands[] = {
    {"en", "US", "+1", false, " ", kGivenEn, kFamilyEn, kCitiesEn, kSentencesEn},
    {"de", "DE", "+49", false, " ", kGivenDe, kFamilyDe, kCitiesDe, kSentencesDe},
    {"fr", "FR", "+33", false, " ", kGivenFr, kFamilyFr, kCitiesFr, kSentencesFr},
    {"es", "MX", "+52", false, " ", kGivenEs, kFamilyEs, kCitiesEs, kSentencesEs},
    {"pt", "BR", "+55", false, " ", kGivenPt, kFamilyPt, kCitiesPt, kSentencesPt},
    {"pl", "PL", "+48", false, " ", kGivenPl, kFamilyPl, kCitiesPl, kSentencesPl},
    {"uk", "UA", "+380", false, " ", kGivenUk, kFamilyUk, kCitiesUk, kSentencesUk},
    {"el", "GR", "+30", false, " ", kGivenEl, kFamilyEl, kCitiesEl, kSentencesEl},
    {"ar", "EG", "+20", false, " ", kGivenAr, kFamilyAr, kCitiesAr, kSentencesAr},
    {"he", "IL", "+972", false, " ", kGivenHe, kFamilyHe, kCitiesHe, kSentencesHe},
    {"hi", "IN", "+91", false, " ", kGivenHi, kFamilyHi, kCitiesHi, kSentencesHi},
    {"ja", "JP", "+81", true, " ", kGivenJa, kFamilyJa, kCitiesJa, kSentencesJa},
    {"ko", "KR", "+82", true, "", kGivenKo, kFamilyKo, kCitiesKo, kSentencesKo},
    {"zh", "CN", "+86", true, "", kGivenZh, kFamilyZh, kCitiesZh, kSentencesZh},
    {"vi", "VN", "+84", true, " ", kGivenVi, kFamilyVi, kCitiesVi, kSentencesVi},
    {"tr", "TR", "+90", false, " ", kGivenTr, kFamilyTr, kCitiesTr, kSentencesTr},
};

constexpr std::string_view kCauses[] = {
    "Clean water", "Schools", "Animal rescue", "Forests", "Food banks", "Emergency relief",
    "Hospices", "Music lessons", "Youth sports", "Sea rescue", "Libraries",
    "Research on rare illness", "Housing first", "Refugee aid", "Braille books",
    "Community gardens", "Village clinics", "Solar kitchens", "Women's cooperatives",
    "Repair cafés"};
constexpr std::string_view kGroups[] = {
    "for children", "for families", "in the city", "in the mountains", "on the coast",
    "for elders", "for teachers", "after the flood", "in winter", "for newcomers", "by volunteers",
    "at night", "on the islands", "for apprentices", "without barriers", "for everyone"};
constexpr std::string_view kTags[] = {
    "urgent", "matched", "local", "monthly", "giving-day", "new", "nearly-there", "tax-deductible",
    "été", "naïve", "子ども", "зима"};
constexpr std::string_view kMessages[] = {
    "Keep going!", "For my grandmother.", "Thank you for what you do.", "Von uns allen ❤️",
    "Pour Noé, avec tendresse.", "ありがとうございます。", "Разом!", "With love from class 4b", "شكرا لكم",
    "Happy birthday, Tom 🎉", "A small drop.", "Every year the same, gladly."};
// clang-format on

}  // namespace

std::span<const demo_land> demo_lands() {
  return kLands;
}
std::span<const std::string_view> demo_causes() {
  return kCauses;
}
std::span<const std::string_view> demo_groups() {
  return kGroups;
}
std::span<const std::string_view> demo_tags() {
  return kTags;
}
std::span<const std::string_view> demo_messages() {
  return kMessages;
}

}  // namespace syncline::server::command
