/** Words that so many people take for a password that everybody tries them first; small letters, read as `fold` writes them. */

// Gathered by hand: what is typed by reflex, what is dear to people here, and the words of this very trade. A word counts
// also with digits and signs around it, so the forms "rahasia123" and "R4hasia!" need no entries of their own.
const words = `
  password passwort passcode passphrase pass word login logon signin masuk keluar sandi katasandi kunci rahasia sangatrahasia
  passwordku sandiku rahasiaku kodeku akunku emailku admin administrator adminadmin root superuser sysadmin operator user
  username pengguna namapengguna guest tamu test tester testing testtest coba cobacoba demo example default changeme gantisaya
  gantisandi secret topsecret private letmein openup bukapintu welcome welcomeback selamatdatang hello hellohello halo
  haloapakabar apakabar hai access akses granted master boss bosku ketua direktur direktorat pimpinan manager staff staf
  pegawai petugas kantor office company perusahaan importir eksportir impor ekspor import export pelabuhan
  kontainer container kargo cargo beacukai bea cukai pabean kepabeanan karantina izin perizinan dokumen manifest logistik
  ekspedisi tanjungpriok priok gudang kapal pesawat truk npwp portal single window nasional indonesia indonesiaraya merdeka
  pancasila garuda nusantara bhinneka merahputih republik negara presiden jakarta bandung surabaya semarang yogyakarta jogja
  jogjakarta medan palembang makassar denpasar bali malang bogor depok tangerang bekasi solo surakarta padang pekanbaru
  balikpapan samarinda banjarmasin pontianak manado ambon jayapura papua sumatera sumatra sulawesi kalimantan lombok
  batam aceh lampung cirebon magelang jawa sunda minang batak betawi bugis madura monas borobudur prambanan bromo
  semeru rinjani merapi komodo persija persib persebaya arema viking jakmania bonek timnas juventus milan
  intermilan chelsea arsenal liverpool manchester united barcelona realmadrid madrid ronaldo messi naruto sasuke onepiece
  luffy doraemon pikachu pokemon superman batman spiderman ironman avengers starwars matrix dragon dragonball monster
  killer shadow ninja samurai hunter ranger phoenix tiger macan harimau elang rajawali singa kucing kucingku kelinci
  anjing guguk naga ular ikan burung kuda sapi ayam bebek monkey football soccer baseball basketball hockey sepakbola
  bola badminton bulutangkis voli renang futsal summer winter spring autumn januari februari maret april agustus september
  oktober november desember january february march june july august october december senin selasa rabu kamis jumat
  sabtu minggu monday tuesday wednesday thursday friday saturday sunday sunshine rainbow pelangi matahari bulan bintang
  langit laut gunung pantai hujan bunga mawar melati anggrek kamboja flower butterfly kupukupu angel bidadari princess
  putri pangeran prince queen ratu raja king diamond mutiara permata emas perak gold silver purple merah putih
  biru hijau kuning hitam ungu coklat chocolate cookie manis manisku sweet sweety honey sugar gula kopi kopihitam
  nasigoreng bakso sate rendang indomie mieayam durian mangga pisang apel jeruk semangka love loveyou iloveyou ilovegod
  iloveu cinta cintaku akucinta akucintakamu cintakamu akusayangkamu sayang sayangku sayangkamu sayangmama sayangibu
  kasih kasihku kekasih rindu kangen pacar pacarku mantan jodoh bahagia senang gembira semangat sukses berkah
  barokah rezeki amanah sabar ikhlas syukur alhamdulillah bismillah insyaallah masyaallah subhanallah astaghfirullah
  assalamualaikum allah allahuakbar muhammad rasulullah islam muslim quran ramadhan ramadan lebaran idulfitri yesus
  yesuskristus jesus jesuschrist tuhan tuhanyesus haleluya blessed blessing grace faith heaven mama papa mamapapa ibu
  ibuku ayah ayahku bapak bunda bundaku emak abang kakak adik kakek nenek anak anakku suami istri istriku suamiku
  keluarga keluargaku mother father brother sister family baby babygirl babyboy agus andi andika anton ahmad bagus bambang
  budi dedi deni desi dewi dian eka eko fajar fitri hendra indah indra joko kartika kurnia lestari lina maya nina
  nurul putra rani ratna rian rina rizki rizky santi setiawan siti slamet sri suharto sukarno soekarno jokowi prabowo
  susanti tuti wahyu wati widodo wulan yanti yuli yusuf michael jordan jennifer jessica ashley daniel charlie thomas
  robert andrew matthew joshua nicole michelle maggie george hannah samantha freedom bebas trustno trustnoone whatever
  terserah gaktau tidaktahu lupa lupalagi lupasandi lupapassword jangan janganlupa inget ingat ingatlah starwar computer
  komputer laptop internet server windows linux android iphone samsung xiaomi oppo vivo nokia google facebook instagram
  whatsapp twitter tiktok youtube yahoo gmail hotmail telkom telkomsel indosat mandiri bankbca gopay ovo dana shopee
  tokopedia gojek grab minecraft roblox mobilelegend mobilelegends freefire pubg fortnite valorant playstation
  qwerty qwertyui qwertyuiop qwert asdf asdfgh asdfghjkl asdfasdf zxcvbn zxcvbnm qazwsx qazwsxedc wsxedc aqzsed
  abcd abcdef abcabc abcd1234 qweasd qweasdzxc qweqwe asdasd zxczxc aaaa blablabla bismillahirrahmanirrahim
  correcthorsebatterystaple thequickbrownfox thequickbrownfoxjumps tobeornottobe maytheforcebewithyou iloveyouforever
  passwordpassword passwordsaya katasandisaya akunsaya rahasiabanget rahasiasekali rahasianegara terimakasih terimakasihbanyak
  indonesiamerdeka merdekaataumati satunusasatubangsa tanahairku sayacintaindonesia akucintaindonesia selamatpagi selamatmalam
`;

/** The list; whoever grows it writes words as they are, without digits or signs around them. */
export const common_passwords: ReadonlySet<string> = new Set(words.trim().split(/\s+/));
